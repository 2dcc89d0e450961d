import ArgumentParser
import Foundation
import Simulation

/// The simulator's command line. See `scripts/simulate`, which builds it.
@main
struct Simulate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scripts/simulate",
        abstract: "Runs whole clusters in one process, on a virtual clock, with faults that are drawn from a seed.",
        discussion: """
            Each seed is one run: a cluster of 2 to 7 nodes that works for some minutes of virtual time while processes are \
            killed and stopped, networks fall apart, disks fail and clocks jump; then all is healed, and it has to be well \
            again. Every invariant of the design is checked all the time. A failure prints the seed, what was drawn, \
            the few faults that matter, and the command that repeats it.

            Anything that is drawn can be forced: nodes=3 sync=never crash=0. `--options` lists what there is.

            Exits with 0 if nothing was found, with 1 if something was.
            """)

    @Option(help: "How many seeds.")
    var seeds = 100

    @Option(help: "The first seed.")
    var from: UInt64 = 1

    @Option(help: "Only this seed.")
    var seed: UInt64?

    @Flag(help: "Tell every event. With --seed.")
    var trace = false

    @Option(help: "Virtual minutes of each run: 6 unless given.")
    var minutes: Double?

    @Option(help: "Runs at a time: as many as there are cores unless given.")
    var jobs: Int?

    @Flag(help: "Plant known bugs, one at a time, and fail unless each is found. Needs a build that has them.")
    var mutants = false

    @Option(help: "With --mutants: only these, separated by commas.")
    var only: String?

    @Flag(help: "Do not make failing runs smaller.")
    var noShrink = false

    @Option(help: "Stop after so many failing seeds.")
    var maxFailures = 5

    @Flag(help: "List the options that are drawn.")
    var options = false

    @Flag(help: "Measure failure detection instead: false deaths, and the time until all know of a death.")
    var membership = false

    @Flag(help: .hidden)
    var worker = false

    @Argument(help: "Options to be forced: name=value.")
    var settings: [String] = []

    mutating func validate() throws {
        guard seeds > 0 else { throw ValidationError("--seeds: at least 1") }
        guard jobs ?? 1 > 0 else { throw ValidationError("--jobs: at least 1") }
        guard !trace || seed != nil else {
            throw ValidationError("--trace: give a --seed as well, or it is too much to read")
        }
        if let minutes {
            guard minutes >= 0.4, minutes <= 600 else { throw ValidationError("--minutes: between 0.4 and 600") }
            settings.append("seconds=\(Int(minutes * 60))")
        }
        do {
            _ = try PlanSettings(settings)
        } catch {
            throw ValidationError("\(error); --options lists what there is")
        }
        guard mutants, !worker else { return }
        if SimulationRequest.bugs.isEmpty {
            throw ValidationError("--mutants: this build has no planted bugs; scripts/simulate makes one that has")
        }
        if let unknown = wanted.first(where: { !SimulationRequest.bugs.contains($0) }) {
            throw ValidationError(
                "--only: there is no bug \"\(unknown)\"; there are " + SimulationRequest.bugs.joined(separator: ", "))
        }
    }

    /// The bugs to plant.
    private var wanted: [String] { only.map { $0.split(separator: ",").map(String.init) } ?? SimulationRequest.bugs }

    func run() throws {
        if worker { return try Worker.serve() }
        if options { return print(Texts.options) }
        if membership { return MembershipTable().print() }
        let crew = Crew(jobs: jobs ?? ProcessInfo.processInfo.activeProcessorCount)
        defer { crew.dismiss() }
        let isFine: Bool
        if mutants {
            isFine = MutantHunt(crew: crew, settings: settings, seeds: seeds, from: from).run(wanted)
        } else {
            var campaign = Campaign(
                crew: crew, settings: settings, isShrinking: !noShrink, maxFailures: maxFailures, isTraced: trace)
            isFine = campaign.run(seed.map { [$0] } ?? (0..<UInt64(seeds)).map { from + $0 })
        }
        if !isFine { throw ExitCode(1) }
    }
}
