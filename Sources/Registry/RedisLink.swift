import CHiredis
import EventLoop
import Glibc
import Primitives

/// One connection to Redis: hiredis on the loop, without blocking.
///
/// connecting -> open -> closed; connecting -> closed. A closed link stays closed.
///
/// It uses hiredis's non-blocking context and not its asynchronous interface, which asserts, and so ends the process,
/// when Redis sends a reply that nobody has asked for; which has no timeouts; and which reads a reply of any size. The
/// calls are queued here, in the order of the commands, as Redis answers in that order.
///
/// Commands of one turn are written together at its end. All functions only on the loop. Completions and `onClose`
/// never run within a call of this type.
///
/// `@unchecked`: only touched on the loop.
final class RedisLink: @unchecked Sendable {
    typealias Answer = @Sendable (Result<RedisValue, RegistryError>) -> Void

    /// hiredis reads this much at a time.
    private static let readBytes = 16_384
    /// Reads in one turn at most.
    private static let readBatch = 64

    private struct Call {
        let deadline: Instant
        let bytes: Int
        let answer: Answer
    }

    private enum State {
        case connecting(since: Instant)
        case open
        case closed
    }

    let address: Address
    /// Bytes of the commands that wait for their answers.
    private(set) var waitingBytes = 0
    var waitingCalls: Int { calls.count - answered }

    private let loop: EventLoop
    private let timeout: Duration
    private let onOpen: @Sendable () -> Void
    private let onClose: @Sendable (RegistryError) -> Void
    private var state: State
    private var context: UnsafeMutablePointer<redisContext>?
    private var watcher: SocketWatcher?
    /// In the order of the commands; the first `answered` are gone.
    private var calls: [Call?] = []
    private var answered = 0
    private var isFlushDue = false

    /// Begins to connect. `onOpen` runs once it is done; `onClose` once, when the link is closed, after the last
    /// answer.
    init(
        on loop: EventLoop, to address: Address, timeout: Duration, onOpen: @escaping @Sendable () -> Void,
        onClose: @escaping @Sendable (RegistryError) -> Void
    ) {
        self.loop = loop
        self.address = address
        self.timeout = timeout
        self.onOpen = onOpen
        self.onClose = onClose
        state = .connecting(since: loop.now)
        context = redisConnectNonBlock(address.host, Int32(address.port))
        guard let context, context.pointee.err == 0 else {
            let reason = context.map { Self.reason(of: $0) } ?? "out of memory"
            close(.unavailable("cannot connect to Redis at \(address): \(reason)"))
            return
        }
        _ = fcntl(context.pointee.fd, F_SETFD, FD_CLOEXEC)
        ReplyBounds.install(in: context)
        do throws(SystemError) {
            let watcher = try SocketWatcher(on: loop, descriptor: context.pointee.fd) { [weak self] ready in
                self?.ready(ready)
            }
            watcher.watch(.writable)
            self.watcher = watcher
        } catch {
            close(.unavailable("cannot watch the connection to Redis at \(address): \(error)"))
        }
    }

    deinit { if let context { redisFree(context) } }

    /// Sends a command. The link has to be open.
    func send(_ command: [RedisPart], _ answer: @escaping Answer) {
        guard case .open = state, let context else {
            return loop.execute { answer(.failure(.unavailable("there is no connection to Redis"))) }
        }
        let bytes = RedisCommand.encode(command)
        let result = bytes.withUnsafeBytes { bytes in
            redisAppendFormattedCommand(context, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
        }
        calls.append(Call(deadline: loop.now + timeout, bytes: bytes.count, answer: answer))
        waitingBytes += bytes.count
        guard result == REDIS_OK else { return fail("cannot queue a command") }
        guard !isFlushDue else { return }
        isFlushDue = true
        loop.execute { [weak self] in
            self?.isFlushDue = false
            self?.flush()
        }
    }

    /// Gives the connection up if it has been silent for too long.
    func sweep() {
        switch state {
        case .closed: return
        case .connecting(let since):
            guard loop.now - since >= timeout else { return }
            close(.timedOut("Redis at \(address) did not accept a connection within \(timeout)"))
        case .open:
            guard isOverdue else { return }
            // If it was this process that stood still, then the answers are here.
            read()
            guard isOverdue else { return }
            close(.timedOut("Redis at \(address) did not answer within \(timeout)"))
        }
    }

    /// Closes the link. Calls that wait fail: those whose time is up with `reason`, the others as disconnected, unless
    /// the reason concerns all.
    func close(_ reason: RegistryError) {
        if case .closed = state { return }
        state = .closed
        watcher?.close()
        watcher = nil
        if let context { redisFree(context) }
        context = nil
        let now = loop.now
        let pending = calls[answered...]
        calls = []
        answered = 0
        waitingBytes = 0
        loop.execute { [onClose, address] in
            for case let call? in pending {
                let error: RegistryError =
                    switch reason {
                    case .timedOut where call.deadline > now:
                        .disconnected("the connection to Redis at \(address) was given up: \(reason)")
                    default: reason
                    }
                call.answer(.failure(error))
            }
            onClose(reason)
        }
    }

    private var isOverdue: Bool {
        guard case .open = state, answered < calls.count, let oldest = calls[answered] else { return false }
        return oldest.deadline <= loop.now
    }

    private func fail(_ what: String) {
        let reason = context.map { Self.reason(of: $0) } ?? what
        close(.disconnected("the connection to Redis at \(address) broke: \(reason)"))
    }

    // MARK: - Readiness

    private func ready(_ what: SocketWatcher.Interest) {
        switch state {
        case .closed: return
        case .connecting: connected()
        case .open:
            if what.contains(.readable) { read() }
            if what.contains(.writable) { flush() }
        }
    }

    private func connected() {
        guard let context else { return }
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        if getsockopt(context.pointee.fd, SOL_SOCKET, SO_ERROR, &code, &length) != 0 { code = errno }
        if code == 0, Self.isConnectedToItself(context.pointee.fd) { code = ECONNREFUSED }
        guard code == 0 else {
            let error = SystemError(operation: "connect to Redis at \(address)", code: code)
            return close(.unavailable(error.description))
        }
        state = .open
        watcher?.watch(.readable)
        onOpen()
    }

    /// A client that knocks at a free port of its own machine often enough is given that very port for its own end,
    /// and is connected to itself.
    private static func isConnectedToItself(_ descriptor: Int32) -> Bool {
        func name(_ function: (Int32, UnsafeMutablePointer<sockaddr>?, UnsafeMutablePointer<socklen_t>?) -> Int32)
            -> [UInt8]
        {
            var bytes = [UInt8](repeating: 0, count: MemoryLayout<sockaddr_storage>.size)
            var length = socklen_t(bytes.count)
            let result = bytes.withUnsafeMutableBytes { buffer in
                function(descriptor, buffer.baseAddress?.assumingMemoryBound(to: sockaddr.self), &length)
            }
            return result == 0 ? Array(bytes.prefix(Int(length))) : []
        }
        return name(getsockname) == name(getpeername)
    }

    // MARK: - Bytes

    private func flush() {
        guard case .open = state, let context else { return }
        var isDone: Int32 = 0
        guard redisBufferWrite(context, &isDone) == REDIS_OK else { return fail("cannot write") }
        watcher?.watch(isDone == 0 ? [.readable, .writable] : .readable)
    }

    private func read() {
        for _ in 0..<Self.readBatch {
            guard case .open = state, let context, let reader = context.pointee.reader else { return }
            let before = reader.pointee.len
            guard redisBufferRead(context) == REDIS_OK else { return fail("cannot read") }
            let count = reader.pointee.len - before
            answer()
            guard case .open = state else { return }
            guard reader.pointee.len - reader.pointee.pos <= Limits.registryReplyBytes else {
                return close(.malformed("Redis at \(address) sent a reply of over \(Limits.registryReplyBytes) bytes"))
            }
            guard count == Self.readBytes else { return }
        }
    }

    /// Answers the calls whose replies are whole.
    private func answer() {
        while case .open = state, let context {
            var pointer: UnsafeMutableRawPointer?
            guard redisGetReplyFromReader(context, &pointer) == REDIS_OK else {
                return close(.malformed("Redis at \(address) sent no valid reply: \(Self.reason(of: context))"))
            }
            guard let pointer else { return }
            let value = RedisValue(pointer.assumingMemoryBound(to: redisReply.self).pointee)
            freeReplyObject(pointer)
            guard let value, let call = nextCall() else {
                return close(.malformed("Redis at \(address) sent a reply that nothing was asked for"))
            }
            call.answer(.success(value))
        }
    }

    private func nextCall() -> Call? {
        guard answered < calls.count, let call = calls[answered] else { return nil }
        calls[answered] = nil
        answered += 1
        waitingBytes -= call.bytes
        if answered == calls.count {
            calls.removeAll(keepingCapacity: true)
            answered = 0
        } else if answered >= 1024, answered * 2 >= calls.count {
            calls.removeSubrange(..<answered)
            answered = 0
        }
        return call
    }

    private static func reason(of context: UnsafeMutablePointer<redisContext>) -> String {
        withUnsafeBytes(of: context.pointee.errstr) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}

/// Makes hiredis refuse a list before it makes room for it: its length is the sender's claim.
private enum ReplyBounds {
    static func install(in context: UnsafeMutablePointer<redisContext>) {
        guard let functions else { return }
        context.pointee.reader.pointee.fn = functions
    }

    /// hiredis's own functions, which only a reader tells.
    private static let standard: redisReplyObjectFunctions? = {
        guard let reader = redisReaderCreate() else { return nil }
        defer { redisReaderFree(reader) }
        return reader.pointee.fn.pointee
    }()

    /// Never changed nor freed once made, so that contexts may share it.
    private nonisolated(unsafe) static let functions: UnsafeMutablePointer<redisReplyObjectFunctions>? = {
        guard var bounded = standard else { return nil }
        bounded.createArray = { task, count in
            guard count <= Int32(Limits.registryReplyElements) else { return nil }
            return ReplyBounds.standard?.createArray(task, count)
        }
        let pointer = UnsafeMutablePointer<redisReplyObjectFunctions>.allocate(capacity: 1)
        pointer.initialize(to: bounded)
        return pointer
    }()
}
