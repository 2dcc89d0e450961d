import Glibc
import Logging
import Primitives

/// The numeric addresses of seeds whose hosts may be names. A name that is not known now is told and left out: one seed of
/// several that is down must not keep a node from starting.
///
/// Asks the resolver and blocks meanwhile: for the start of a process only.
func resolve(_ seeds: [Address], logger: Logger) -> [Address] {
    seeds.flatMap { seed in
        let hosts = numericHosts(of: seed.host)
        if hosts.isEmpty { logger.warning("seed \(seed): the host is not known; going on without it") }
        return hosts.map { Address(host: $0, port: seed.port) }
    }
}

/// Empty if the name is not known.
private func numericHosts(of name: String) -> [String] {
    if isNumericHost(name) { return [name] }
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(name, nil, &hints, &list) == 0 else { return [] }
    defer { freeaddrinfo(list) }
    var hosts: [String] = []
    var next = list
    while let entry = next?.pointee {
        next = entry.ai_next
        var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let code = getnameinfo(
            entry.ai_addr, entry.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
        let host = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        if code == 0, !hosts.contains(host) { hosts.append(host) }
    }
    return hosts
}
