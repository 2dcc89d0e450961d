import HTTPTypes
import Hummingbird

/// One operation of the API: what answers it, and what the OpenAPI document says of it.
struct Route: Sendable {
    let method: HTTPRequest.Method
    /// Canonical; at most one `{parameter}`, as a whole segment.
    let path: String
    /// Other paths with the same answer.
    var aliases: [String] = []
    let operation: Operation
    let handler: @Sendable (API, APIRequest) async throws -> Response
}

/// What answers at one path.
struct Endpoint: Sendable {
    fileprivate var routes: [Route] = []

    subscript(method: HTTPRequest.Method) -> Route? { routes.first { $0.method == method } }

    /// The value of the header `Allow`.
    var allow: String {
        var methods = routes.map(\.method.rawValue)
        if methods.contains("GET") { methods.append("HEAD") }
        return (methods + ["OPTIONS"]).sorted().joined(separator: ", ")
    }
}

/// Finds the endpoint of a path. A slash at the end makes no difference.
struct RouteTable: Sendable {
    let routes: [Route]
    private var exact: [String: Endpoint] = [:]
    /// Paths with a parameter, by what is before and after it.
    private var patterns: [(prefix: String, suffix: String, endpoint: Endpoint)] = []

    init(_ routes: [Route]) {
        self.routes = routes
        for route in routes {
            for path in [route.path] + route.aliases { add(route, at: path) }
        }
    }

    private mutating func add(_ route: Route, at path: String) {
        guard let open = path.firstIndex(of: "{"), let close = path.firstIndex(of: "}") else {
            exact[path, default: Endpoint()].routes.append(route)
            return
        }
        let (prefix, suffix) = (String(path[..<open]), String(path[path.index(after: close)...]))
        if let index = patterns.firstIndex(where: { $0.prefix == prefix && $0.suffix == suffix }) {
            patterns[index].endpoint.routes.append(route)
        } else {
            patterns.append((prefix, suffix, Endpoint(routes: [route])))
        }
    }

    func find(_ path: String) -> (Endpoint, parameter: String)? {
        if let found = findExactly(path) { return found }
        return path.utf8.count > 1 && path.hasSuffix("/") ? findExactly(String(path.dropLast())) : nil
    }

    private func findExactly(_ path: String) -> (Endpoint, parameter: String)? {
        if let endpoint = exact[path] { return (endpoint, "") }
        for (prefix, suffix, endpoint) in patterns where path.hasPrefix(prefix) && path.hasSuffix(suffix) {
            let parameter = path.dropFirst(prefix.count).dropLast(suffix.count)
            if !parameter.isEmpty, !parameter.utf8.contains(UInt8(ascii: "/")) { return (endpoint, String(parameter)) }
        }
        return nil
    }
}
