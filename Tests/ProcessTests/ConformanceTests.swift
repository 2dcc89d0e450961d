import Foundation
import Testing

@testable import Command

extension ProcessTests {
    /// Other people's tools hold the server to its own OpenAPI document.
    @Suite struct Conformance {
        private static let python = ProcessInfo.processInfo.environment["APUS_PYTHON"]

        /// What they may not ask for: it would end the node that they talk to.
        private static let excluded = "^/api/cluster/(drain|leave)$"

        /// `positive_data_acceptance` is left out: no schema can say that a time must lie ahead, that a text has so many
        /// bytes, or that a task exists. 207 refuses some tasks of a batch; 413 is for one that has too many.
        private static let configuration = """
            [checks]
            positive_data_acceptance.enabled = false
            negative_data_rejection.expected-statuses = [
                "400", "404", "405", "406", "409", "413", "415", "422", "428", "431", "207"
            ]
            """

        /// The same requests every time, as far as the time for them allows; a thorough run tries others.
        private static let seed = isThorough ? Int.random(in: 1...1_000_000) : 1

        @Test(.enabled(if: python != nil, "scripts/test installs schemathesis and names the Python that has it"))
        func openAPIDocumentIsValidAndTheServerKeepsIt() async throws {
            let python = try #require(Self.python)
            let folder = FileManager.default.temporaryDirectory.appending(path: "apus-api-\(UUID().uuidString)").path
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let settings = folder + "/schemathesis.toml"
            try Self.configuration.write(toFile: settings, atomically: true, encoding: .utf8)

            try await LocalCluster.run { cluster in
                let document = cluster.nodes[0].url + "/openapi.json"
                let validation = try await run(
                    python,
                    [
                        "-c",
                        "import json, sys, urllib.request, openapi_spec_validator as v; "
                            + "v.validate(json.load(urllib.request.urlopen(sys.argv[1]))); print('valid')", document,
                    ], in: folder)
                #expect(validation.code == 0, "\(validation.output.suffix(4000))")
                #expect(validation.output.contains("valid"))

                // Requests go to another node than the document came from.
                let conformance = try await run(
                    python,
                    [
                        "-m", "schemathesis.cli", "--config-file", settings, "run", document, "--url",
                        cluster.nodes[1].url, "--exclude-path-regex", Self.excluded, "--max-time", "60",
                        "--continue-on-failure", "--request-timeout", "70", "--no-color", "--generation-database",
                        "none", "--warnings", "off", "--seed", String(Self.seed),
                    ], in: folder)
                #expect(conformance.code == 0, "\(conformance.output.suffix(8000))")
                for node in cluster.nodes { #expect(node.isAlive, "\(node.name) has ended") }
                try await cluster.awaitHealthy()
                for line in conformance.output.split(separator: "\n") where line.contains("generated") {
                    print("measured: schemathesis: \(line.trimmingCharacters(in: .whitespaces))")
                }
            }
        }

        private func run(_ python: String, _ arguments: [String], in folder: String) async throws
            -> (code: Int32, output: String)
        {
            let log = folder + "/output-\(UUID().uuidString)"
            let shell = try launchDetached(
                "/bin/sh", ["-c", "cd \"$1\" && shift && exec \"$@\"", "sh", folder, python] + arguments,
                environment: Binary.environment, log: log)
            let code = try await exitCode(of: shell, within: .seconds(150))
            return (code, try String(contentsOfFile: log, encoding: .utf8))
        }
    }
}
