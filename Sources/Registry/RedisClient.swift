import EventLoop
import Primitives

/// Keeps a connection to Redis: looks the host up, connects, introduces itself, and begins again when that is lost.
///
///     idle -> resolving -> connecting -> greeting -> open
///               ^  any of these, on failure -> resting -> resolving
///     any -> stopped
///
/// The rest doubles from `Settings.firstRest` to `Settings.longestRest`, times a random factor in 1/2 ... 1, and begins
/// anew once a greeting has succeeded.
///
/// The greeting tells whether this is the store of before: its run id is the same, and the sentinel key holds what it
/// did. The sentinel is a random number that the first who misses it writes, so those who come later see that it is
/// another one. While the link is open it is probed every `Settings.probeEvery`, which also finds a Redis that stands
/// still.
///
/// The loop holds a client from its start until it stops, or the loop does.
///
/// `@unchecked`: only touched on the loop.
final class RedisClient: @unchecked Sendable {
    typealias Settings = RedisRegistry.Settings

    private enum State {
        case idle
        case resolving
        case connecting(RedisLink)
        case greeting(RedisLink)
        case open(RedisLink)
        case resting
        case stopped
    }

    private let loop: EventLoop
    private let url: RedisURL
    private let settings: Settings
    private let sentinelKey: String
    private var random: SeededGenerator
    private var observer: @Sendable (RegistryEvent) -> Void = { _ in }
    private var state = State.idle
    /// Counts attempts, so that what belongs to an earlier one is ignored.
    private var attempt: UInt64 = 0
    private var failures = 0
    private var lastError = RegistryError.unavailable("no connection to Redis was tried yet")
    private var timer: (any ScheduledAction)?
    private var probeDue = Instant.zero
    private var hook = 0

    /// What is known of the store.
    private var runID: [UInt8]?
    private var sentinel: [UInt8]?
    private var digests: [RedisScript: [UInt8]] = [:]

    init(
        on loop: EventLoop, url: RedisURL, sentinelKey: String, settings: Settings, seed: UInt64
    ) {
        self.loop = loop
        self.url = url
        self.sentinelKey = sentinelKey
        self.settings = settings
        random = SeededGenerator(seed: seed)
    }

    var isConnected: Bool { if case .open = state { true } else { false } }

    func start(_ observer: @escaping @Sendable (RegistryEvent) -> Void) {
        guard case .idle = state else { preconditionFailure("A registry is started once.") }
        self.observer = observer
        guard !loop.isShuttingDown else { return state = .stopped }
        hook = loop.addShutdownHook { [self] in stop() }
        sweepLater()
        resolve()
    }

    func stop() {
        let link = link
        if case .stopped = state { return }
        if case .idle = state {} else { loop.removeShutdownHook(hook) }
        state = .stopped
        attempt += 1
        timer?.cancel()
        timer = nil
        observer = { _ in }
        link?.close(.stopped)
    }

    /// Sends a command, or refuses it.
    func send(_ command: [RedisPart], _ completion: @escaping RegistryCompletion<RedisValue>) {
        switch admit([command]) {
        case .success(let link): link.send(command, completion)
        case .failure(let error): loop.execute { completion(.failure(error)) }
        }
    }

    /// Sends commands in one go, or refuses all of them. The answers arrive together, when the last is there, or the
    /// first failure of the connection.
    func send(_ commands: [[RedisPart]], _ completion: @escaping RegistryCompletion<[RedisValue]>) {
        switch admit(commands) {
        case .success(let link): pipeline(commands, on: link, completion)
        case .failure(let error): loop.execute { completion(.failure(error)) }
        }
    }

    /// Runs a script, by its digest if Redis has it.
    func run(
        _ script: RedisScript, keys: [String], arguments: [RedisPart],
        _ completion: @escaping RegistryCompletion<RedisValue>
    ) {
        let tail = [.text(String(keys.count))] + keys.map { .text($0) } + arguments
        guard let digest = digests[script] else { return send(["EVAL", .text(script.source)] + tail, completion) }
        send(["EVALSHA", .bytes(digest)] + tail) { [self] result in
            if case .success(.error(let text)) = result, text.hasPrefix("NOSCRIPT") {
                send(["EVAL", .text(script.source)] + tail, completion)
            } else {
                completion(result)
            }
        }
    }

    /// The link that takes the commands, or why there is none.
    private func admit(_ commands: [[RedisPart]]) -> Result<RedisLink, RegistryError> {
        switch state {
        case .open(let link):
            let bytes = commands.reduce(0) { sum, parts in parts.reduce(sum) { $0 + $1.count } }
            guard link.waitingCalls + commands.count <= Limits.registryCommands,
                link.waitingBytes + bytes <= Limits.registryBytes
            else {
                return .failure(
                    .overloaded(
                        "\(link.waitingCalls) commands of \(link.waitingBytes) bytes wait for Redis: try again later"))
            }
            return .success(link)
        case .stopped: return .failure(.stopped)
        case .idle, .resolving, .connecting, .greeting, .resting:
            return .failure(.unavailable("there is no connection to Redis: \(lastError)"))
        }
    }

    private var link: RedisLink? {
        switch state {
        case .connecting(let link), .greeting(let link), .open(let link): link
        case .idle, .resolving, .resting, .stopped: nil
        }
    }

    private func pipeline(
        _ commands: [[RedisPart]], on link: RedisLink, _ completion: @escaping RegistryCompletion<[RedisValue]>
    ) {
        let answers = Answers(count: commands.count, completion)
        for command in commands { link.send(command) { answers.take($0) } }
    }

    // MARK: - Connecting

    private func resolve() {
        state = .resolving
        attempt += 1
        loop.resolve(url.host) { [weak self, attempt] result in
            guard let self, attempt == self.attempt else { return }
            switch result {
            case .success(let hosts): connect(to: hosts)
            case .failure(let error): rest(after: .unavailable(error.description))
            }
        }
    }

    /// A host of several addresses is tried at the next one after each failure.
    private func connect(to hosts: [String]) {
        let address = Address(host: hosts[failures % hosts.count], port: url.port)
        let link = RedisLink(on: loop, to: address, timeout: settings.timeout) { [weak self, attempt] in
            guard let self, attempt == self.attempt else { return }
            greet()
        } onClose: { [weak self, attempt] error in
            guard let self, attempt == self.attempt else { return }
            rest(after: error)
        }
        state = .connecting(link)
    }

    private func rest(after error: RegistryError) {
        state = .resting
        attempt += 1
        lastError = error
        let doubled = settings.firstRest * (1 << min(failures, 20))
        let rest = min(doubled, settings.longestRest) * Double.random(in: 0.5...1, using: &random)
        failures += 1
        timerForRest(rest)
        observer(.disconnected(error))
    }

    private func timerForRest(_ rest: Duration) {
        _ = loop.schedule(after: rest) { [weak self, attempt] in
            guard let self, attempt == self.attempt else { return }
            resolve()
        }
    }

    // MARK: - Greeting

    private func greet() {
        guard case .connecting(let link) = state else { return }
        state = .greeting(link)
        var commands: [[RedisPart]] = []
        if let password = url.password {
            commands.append(["AUTH"] + (url.user.map { [.text($0)] } ?? []) + [.text(password)])
        }
        if url.database != 0 { commands.append(["SELECT", .text(String(url.database))]) }
        commands.append(["INFO", "server"])
        for script in RedisScript.allCases { commands.append(["SCRIPT", "LOAD", .text(script.source)]) }
        pipeline(commands, on: link) { [weak self, attempt] result in
            guard let self, attempt == self.attempt else { return }
            greeted(result, by: link)
        }
    }

    private func greeted(_ result: Result<[RedisValue], RegistryError>, by link: RedisLink) {
        // A broken link reports itself.
        guard case .success(let values) = result else { return }
        var rest = values[...]
        if url.password != nil, let answer = rest.popFirst(), !answer.isOK {
            return link.close(.refused("Redis at \(link.address) refuses the password: it answers with \(answer.kind)"))
        }
        if url.database != 0, let answer = rest.popFirst(), !answer.isOK {
            return link.close(.refused("Redis at \(link.address) has no database \(url.database): \(answer.kind)"))
        }
        guard case .bytes(let info)? = rest.popFirst(), let runID = Self.runID(in: info) else {
            let answer = values[values.count - rest.count - 1].kind
            return link.close(
                .refused("Redis at \(link.address) does not introduce itself: it answers INFO with \(answer)"))
        }
        digests = [:]
        for (script, answer) in zip(RedisScript.allCases, rest) {
            // Without a digest the script is sent each time, and an error of Redis comes to light there.
            if case .bytes(let digest) = answer, digest.count == 40 { digests[script] = digest }
        }
        let isOtherRun = self.runID.map { $0 != runID } ?? false
        self.runID = runID
        lookAtSentinel(on: link) { [weak self, attempt] isFresh in
            guard let self, attempt == self.attempt else { return }
            state = .open(link)
            failures = 0
            probeDue = loop.now + settings.probeEvery
            observer(.connected(isFresh: isFresh || isOtherRun))
        }
    }

    private static func runID(in info: [UInt8]) -> [UInt8]? {
        for line in info.split(whereSeparator: { $0 == 0x0D || $0 == 0x0A }) where line.starts(with: "run_id:".utf8) {
            let id = line.dropFirst("run_id:".utf8.count)
            return (1...64).contains(id.count) ? Array(id) : nil
        }
        return nil
    }

    /// Tells whether the store has lost the sentinel, which is there afterwards. Not called back if the link breaks.
    private func lookAtSentinel(on link: RedisLink, _ completion: @escaping @Sendable (Bool) -> Void) {
        let value = String(random.next() | 1 << 63, radix: 16)
        let key = RedisPart.text(sentinelKey)
        pipeline([["SET", key, .text(value), "NX"], ["GET", key]], on: link) { [weak self] result in
            guard let self, case .success(let values) = result else { return }
            if case .bytes(let present) = values[1], present.count == value.utf8.count {
                let isFresh = values[0].isOK || (sentinel != nil && sentinel != present)
                sentinel = present
                completion(isFresh)
            } else if case .error(let text) = values[1], !text.hasPrefix("WRONGTYPE") {
                link.close(.refused("Redis at \(link.address) refuses to work: \(text)"))
            } else {
                // Somebody's garbage is in the way; whatever else was here, may be gone.
                pipeline([["SET", key, .text(value)]], on: link) { [weak self] result in
                    guard let self, case .success(let values) = result else { return }
                    guard values[0].isOK else {
                        return link.close(.refused("Redis at \(link.address) stores nothing: \(values[0].kind)"))
                    }
                    sentinel = Array(value.utf8)
                    completion(true)
                }
            }
        }
    }

    // MARK: - Sweeping

    private func sweepLater() {
        timer = loop.schedule(after: settings.timeout / 8) { [weak self] in
            guard let self else { return }
            sweep()
            if case .stopped = state { return }
            sweepLater()
        }
    }

    private func sweep() {
        link?.sweep()
        guard case .open(let link) = state, loop.now >= probeDue else { return }
        probeDue = loop.now + settings.probeEvery
        lookAtSentinel(on: link) { [weak self, attempt] isFresh in
            guard let self, attempt == self.attempt, isFresh else { return }
            observer(.emptied)
        }
    }
}

/// Collects the answers to a pipeline. Only touched on the loop.
private final class Answers: @unchecked Sendable {
    private let count: Int
    private var values: [RedisValue] = []
    private var completion: RegistryCompletion<[RedisValue]>?

    init(count: Int, _ completion: @escaping RegistryCompletion<[RedisValue]>) {
        self.count = count
        self.completion = completion
    }

    func take(_ answer: Result<RedisValue, RegistryError>) {
        guard let completion else { return }
        switch answer {
        case .success(let value):
            values.append(value)
            guard values.count == count else { return }
            self.completion = nil
            completion(.success(values))
        case .failure(let error):
            self.completion = nil
            completion(.failure(error))
        }
    }
}
