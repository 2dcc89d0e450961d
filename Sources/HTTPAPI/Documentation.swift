import APIModel
import HTTPTypes

/// The pages for people: `/docs`, which shows the routes, schemas and problems, and `/`, which points there.
enum Documentation {
    static let docs: String = page(title: "Apus: the HTTP API", body: body)

    static func index(node: String) -> String {
        page(
            title: "Apus: \(escaped(node))",
            body: """
                <h1>Apus</h1>
                <p>Node <b>\(escaped(node))</b> answers.</p>
                <ul>
                <li><a href="/docs">/docs</a> the HTTP API</li>
                <li><a href="/openapi.json">/openapi.json</a> the same for programs (OpenAPI 3.1)</li>
                <li><a href="/api/cluster">/api/cluster</a> the cluster as this node sees it</li>
                <li><a href="/api/workers">/api/workers</a> what runs where</li>
                <li><a href="/api/queues">/api/queues</a> what waits</li>
                <li><a href="/api/tasks">/api/tasks</a> the newest tasks</li>
                <li><a href="/health">/health</a> how this node is</li>
                </ul>
                """)
    }

    private static let body: String = {
        var html = "<h1>Apus: the HTTP API</h1>\n<p>JSON in, JSON out, UTF-8. Errors are application/problem+json "
        html +=
            "(RFC 9457). The same for programs: <a href=\"/openapi.json\">/openapi.json</a>.</p>\n<h2>Operations</h2>\n"
        for route in Route.all { html += section(of: route) }
        html += "<h2>Schemas</h2>\n"
        for (name, schema) in Schemas.all.sorted(by: { $0.key < $1.key }) { html += section(of: schema, name) }
        html += "<h2>Problems</h2>\n<table>\n"
        for kind in Problem.Kind.allCases {
            html += "<tr id=\"\(kind.rawValue)\"><td>\(kind.status.code)</td><td><code>\(kind.rawValue)</code></td>"
            html += "<td>\(escaped(kind.title))</td></tr>\n"
        }
        return html + "</table>\n"
    }()

    private static func section(of route: Route) -> String {
        let operation = route.operation
        var html =
            "<h3 id=\"\(operation.id)\"><b>\(route.method.rawValue)</b> <code>\(escaped(route.path))</code></h3>\n"
        html += "<p>\(escaped(operation.summary))"
        if !route.aliases.isEmpty {
            html += " Also at \(route.aliases.map { "<code>\($0)</code>" }.joined(separator: ", "))."
        }
        html += "</p>\n<table>\n"
        for parameter in operation.parameters {
            html += "<tr><td>\(parameter.place)</td><td><code>\(parameter.name)</code></td>"
            html += "<td>\(escaped(parameter.description))</td></tr>\n"
        }
        if let body = operation.body { html += "<tr><td>body</td><td>\(link(body))</td><td></td></tr>\n" }
        for answer in operation.answers {
            html += "<tr><td>\(answer.status)</td><td>\(answer.schema.map(link) ?? escaped(answer.mediaType))</td>"
            html += "<td>\(escaped(answer.description))</td></tr>\n"
        }
        for kind in operation.problems {
            html += "<tr><td>\(kind.status.code)</td><td><a href=\"#\(kind.rawValue)\">\(kind.rawValue)</a></td>"
            html += "<td>\(escaped(kind.title))</td></tr>\n"
        }
        return html + "</table>\n"
    }

    private static func section(of schema: JSONValue, _ name: String) -> String {
        var html = "<h3 id=\"schema-\(name)\">\(name)</h3>\n"
        guard case .object(let properties) = schema["properties"] else {
            return html + "<p><code>\(escaped(text(of: schema)))</code></p>\n"
        }
        html += "<table>\n"
        for (key, property) in properties.sorted(by: { $0.key < $1.key }) {
            html +=
                "<tr><td><code>\(escaped(key))</code></td><td><code>\(escaped(text(of: property)))</code></td></tr>\n"
        }
        return html + "</table>\n"
    }

    private static func text(of schema: JSONValue) -> String {
        String(decoding: JSONWriter.bytes(of: schema), as: UTF8.self)
    }

    private static func link(_ schema: String) -> String { "<a href=\"#schema-\(schema)\">\(schema)</a>" }

    private static func page(title: String, body: String) -> String {
        """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width">
        <title>\(title)</title>
        <style>
        body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
        table { border-collapse: collapse; width: 100%; }
        td { border-top: 1px solid #8884; padding: .2rem .8rem .2rem 0; vertical-align: top; overflow-wrap: anywhere; }
        td:first-child { white-space: nowrap; }
        h3 { margin: 2rem 0 .2rem; font-weight: normal; }
        :target { background: #fe86; }
        @media (prefers-color-scheme: dark) { body { background: #111; color: #ddd; } a { color: #8bf; } }
        </style>
        </head>
        <body>
        \(body)
        </body>
        </html>
        """
    }

    private static func escaped(_ text: String) -> String {
        text.reduce(into: "") { html, character in
            switch character {
            case "&": html += "&amp;"
            case "<": html += "&lt;"
            case ">": html += "&gt;"
            case "\"": html += "&quot;"
            default: html.append(character)
            }
        }
    }
}
