// swift-tools-version: 6.2
import PackageDescription

// The layout is the map: see README.md, "How it is built". Arrows point downward only:
// Primitives <- {Membership, Views, TaskLedger, WorkStealing, Schedules} <- {Wire, EventLoop, Registry, Peers}
//            <- Node <- {HTTPAPI, TaskHandlers} <- Command. The pure targets never import each other.

// `scripts/simulate` builds with bugs planted behind a switch, to see its checkers find them. No other build has any of it.
let plantsBugs = Context.environment["APUS_PLANTED_BUGS"] == "1"

let strict: [SwiftSetting] =
    [
        .treatAllWarnings(as: .error),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
    ] + (plantsBugs ? [.define("PLANTED_BUGS")] : [])

let collections: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let heap: Target.Dependency = .product(name: "HeapModule", package: "swift-collections")

/// A target of ours: every one is compiled with the same strictness.
func room(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, resources: resources, swiftSettings: strict)
}

let package = Package(
    name: "Apus",
    products: [
        .executable(name: "apus", targets: ["Command"]), .executable(name: "simulate", targets: ["Simulate"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .systemLibrary(name: "CLibuv"),
        .systemLibrary(name: "CHiredis"),
        // GLib's include paths come from pkg-config; libvips' own .pc asks for flags that the package manager prohibits.
        .systemLibrary(name: "CVips", pkgConfig: "gobject-2.0", providers: [.apt(["libvips-dev"])]),
        .target(name: "CImages", dependencies: ["CVips"], linkerSettings: [.linkedLibrary("vips")]),

        room("Primitives"),

        room("Membership", ["Primitives", collections]),
        room("Views", ["Primitives"]),
        room("TaskLedger", ["Primitives", collections, heap]),
        room("WorkStealing", ["Primitives", collections]),
        room("Schedules", ["Primitives"]),

        room("Wire", ["Primitives", "Membership", "Views", "TaskLedger", "WorkStealing"]),
        room("EventLoop", ["Primitives", "CLibuv"]),
        room("Journal", ["Primitives", "EventLoop"]),
        room("Registry", ["Primitives", "EventLoop", "CLibuv", "CHiredis"]),
        room(
            "Peers",
            [
                "Primitives", "Wire", "EventLoop",
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
            ]),

        room("TaskExecution", ["Primitives"]),
        room("Service", ["Primitives", "TaskLedger", "Views"]),
        room(
            "Node",
            [
                "Primitives", "Membership", "Views", "TaskLedger", "WorkStealing", "Schedules", "Wire", "Journal",
                "EventLoop", "Registry", "Peers",
                "TaskExecution", "Service", "APIModel", collections, .product(name: "Logging", package: "swift-log"),
            ]),

        // A whole cluster of real nodes in one process, on a virtual clock, network, disk and Redis.
        room(
            "Simulation",
            [
                "Primitives", "Membership", "Views", "TaskLedger", "Schedules", "Wire", "EventLoop", "Registry",
                "Peers",
                "Journal", "TaskExecution", "Service", "APIModel", "Node", collections,
                .product(name: "Logging", package: "swift-log"),
            ]),
        .executableTarget(
            name: "Simulate",
            dependencies: [
                "Primitives", "Simulation", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: strict),
        tests(
            "SimulationTests",
            [
                "Primitives", "Views", "TaskLedger", "Wire", "EventLoop", "Registry", "Peers", "Journal",
                "TaskExecution", "Service", "Node", "Simulation",
            ]),

        room(
            "TaskHandlers",
            [
                "Primitives", "TaskLedger", "TaskExecution", "CImages",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ]),
        room("APIModel", ["Primitives", "TaskLedger", "Views", "Service"]),
        room(
            "HTTPAPI",
            [
                "Primitives", "TaskLedger", "Views", "Schedules", "Service", "APIModel",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),
        .executableTarget(
            name: "Command",
            dependencies: [
                "Primitives", "TaskLedger", "EventLoop", "Journal", "Service", "APIModel", "Registry", "Node",
                "HTTPAPI", "TaskHandlers",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),
        tests(
            "CommandTests",
            [
                "Primitives", "APIModel", "Registry", "Command",
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"), .product(name: "Logging", package: "swift-log"),
            ]),
        tests(
            "ProcessTests",
            [
                "Primitives", "APIModel", "Command",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ]),
        tests(
            "HTTPAPITests",
            [
                "Primitives", "TaskLedger", "Views", "Service", "APIModel", "HTTPAPI",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdTesting", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),

        tests("PrimitivesTests", ["Primitives"]),
        tests("MembershipTests", ["Primitives", "Membership"]),
        tests("ViewsTests", ["Primitives", "Views"]),
        tests("TaskLedgerTests", ["Primitives", "TaskLedger", collections]),
        tests("WorkStealingTests", ["Primitives", "WorkStealing"]),
        tests("SchedulesTests", ["Primitives", "Schedules"]),
        tests("WireTests", ["Primitives", "Membership", "Views", "TaskLedger", "Wire"]),
        tests("EventLoopTests", ["Primitives", "EventLoop"]),
        tests("JournalTests", ["Primitives", "EventLoop", "Journal"]),
        tests("RegistryTests", ["Primitives", "EventLoop", "Registry"]),
        tests(
            "TaskHandlersTests",
            [
                "TaskHandlers", "TaskExecution", "Primitives", "CImages",
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ]),
        tests(
            "PeersTests",
            [
                "Primitives", "Wire", "EventLoop", "Peers",
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOEmbedded", package: "swift-nio"),
            ]),
    ]
)
