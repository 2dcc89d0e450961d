import CLibuv
import Glibc

extension EventLoop {
    /// Runs `work` on libuv's pool and then `completion` on the loop, always once and never before this returns. Only
    /// on the loop. The pool has four threads and runs at most two lookups of names at a time.
    public func offload<Value: Sendable>(
        _ work: @escaping @Sendable () -> Result<Value, SystemError>,
        completion: @escaping @Sendable (Result<Value, SystemError>) -> Void
    ) {
        assertCurrent()
        guard !isShuttingDown else {
            return execute { completion(.failure(SystemError(operation: "use the thread pool", code: ESHUTDOWN))) }
        }
        let job = PoolJob(loop: self)
        // Written by the pool, then read by the loop; libuv hands the request over in between.
        nonisolated(unsafe) var outcome: Result<Value, SystemError>?
        job.work = { outcome = work() }
        job.completion = {
            completion(outcome ?? .failure(SystemError(operation: "use the thread pool", code: ECANCELED)))
        }
        job.start(on: uv)
    }

    /// The addresses of a host name, or of a numeric address, in the order of preference. A lookup may take many
    /// seconds: it runs on libuv's pool. Only on the loop; `completion` as in `offload`.
    public func resolve(
        _ host: String, completion: @escaping @Sendable (Result<[String], SystemError>) -> Void
    ) {
        assertCurrent()
        guard !isShuttingDown else {
            return execute { completion(.failure(SystemError(operation: "look up \(host)", code: ESHUTDOWN))) }
        }
        Lookup(host, loop: self, completion).start(on: uv)
    }
}

/// Work of which libuv holds the request. `@unchecked`: the pool runs `work`, then the loop `completion`; libuv hands
/// the request from one to the other.
private final class PoolJob: @unchecked Sendable {
    var work: () -> Void = {}
    var completion: () -> Void = {}
    private let loop: EventLoop
    private let request = UnsafeMutablePointer<uv_work_t>.allocate(capacity: 1)

    init(loop: EventLoop) { self.loop = loop }

    deinit { request.deallocate() }

    func start(on uv: UnsafeMutablePointer<uv_loop_t>) {
        request.pointee.data = Unmanaged.passRetained(self).toOpaque()
        // Fails only without a work callback.
        uv_queue_work(
            uv, request, { PoolJob.of($0)?.takeUnretainedValue().work() },
            { request, _ in
                guard let job = PoolJob.of(request)?.takeRetainedValue() else { return }
                job.loop.beginTurn()
                job.completion()
            })
    }

    private static func of(_ request: UnsafeMutablePointer<uv_work_t>?) -> Unmanaged<PoolJob>? {
        request.map { Unmanaged.fromOpaque($0.pointee.data) }
    }
}

/// One lookup of a name. Only touched on the loop.
private final class Lookup {
    private let host: String
    private let loop: EventLoop
    private let completion: @Sendable (Result<[String], SystemError>) -> Void
    private let request = UnsafeMutablePointer<uv_getaddrinfo_t>.allocate(capacity: 1)

    init(_ host: String, loop: EventLoop, _ completion: @escaping @Sendable (Result<[String], SystemError>) -> Void) {
        self.host = host
        self.loop = loop
        self.completion = completion
    }

    deinit { request.deallocate() }

    func start(on uv: UnsafeMutablePointer<uv_loop_t>) {
        let held = Unmanaged.passRetained(self)
        request.pointee.data = held.toOpaque()
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        let result = uv_getaddrinfo(
            uv, request,
            { request, status, list in
                defer { uv_freeaddrinfo(list) }
                guard let data = request?.pointee.data else { return }
                let lookup = Unmanaged<Lookup>.fromOpaque(data).takeRetainedValue()
                lookup.loop.beginTurn()
                lookup.finish(status, list)
            }, host, nil, &hints)
        guard result < 0 else { return }
        held.release()
        loop.execute { [completion, error = failure(result)] in completion(.failure(error)) }
    }

    private func finish(_ status: Int32, _ list: UnsafeMutablePointer<addrinfo>?) {
        guard status == 0 else { return completion(.failure(failure(status))) }
        var hosts: [String] = []
        var next = list
        while let entry = next {
            if let name = entry.pointee.ai_addr, let address = SocketAddress.decode(name), !hosts.contains(address.host)
            {
                hosts.append(address.host)
            }
            next = entry.pointee.ai_next
        }
        completion(hosts.isEmpty ? .failure(failure(UV_EAI_NODATA.rawValue)) : .success(hosts))
    }

    private func failure(_ code: Int32) -> SystemError {
        SystemError(
            operation: "look up \(host)", code: -code, advice: "is the name right, and does this machine resolve it?")
    }
}
