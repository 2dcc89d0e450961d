import Primitives
import Views

/// Going on without voters and copies that will not come back, as an operator says.
extension ViewKeeper {
    /// Why a view is not forced.
    enum ForceRefusal: Error, Sendable, CustomStringConvertible {
        /// This node knows of no cluster.
        case noView
        /// Enough voters are there: the cluster decides by itself.
        case notNeeded(living: Int, needed: Int)
        /// A member has a later view, which this node is fetching.
        case behind(number: UInt64, at: NodeName)
        /// One is being forced by this node already.
        case underWay
        /// It has no effect: something has changed meanwhile, or the disk does not answer.
        case failed(String)
        case stopped

        var description: String {
            switch self {
            case .noView: "this node has no view of a cluster"
            case .notNeeded(let living, let needed):
                "\(living) voters are there and \(needed) are needed: the cluster decides by itself"
            case .behind(let number, let name): "\(name) has the later view \(number): it is being fetched, try again"
            case .underWay: "a view is being forced already"
            case .failed(let reason): reason
            case .stopped: "this node is stopping"
            }
        }
    }

    struct Forcing {
        /// Of the view that is to be replaced.
        var view: UInt64
        /// Nil: the lengths of the replicas are waited for.
        var number: UInt64?
        var until: Instant
        var completion: @Sendable (Result<View, ForceRefusal>) -> Void
    }

    /// What is missing, and what would be given up; nil: this node knows of no cluster.
    func recoveryReport() -> Views.RecoveryReport? { view.map { Views.RecoveryReport($0, observations($0)) } }

    /// An operator says that what the report calls missing will not come back. `completion` is called once, on the
    /// loop: with the view that is installed here then, and that the others are told of.
    func forceView(_ completion: @escaping @Sendable (Result<View, ForceRefusal>) -> Void) {
        guard let view else { return completion(.failure(.noView)) }
        guard forcing == nil else { return completion(.failure(.underWay)) }
        if let refusal = objection(to: view) { return completion(.failure(refusal)) }
        node.logger.warning("an operator forces a view", metadata: ["after": "\(view.number)"])
        let until = node.now + Limits.forcePatience
        forcing = Forcing(view: view.number, until: until, completion: completion)
        rollCall = RollCall()
        _ = node.scheduler.schedule(after: Limits.forcePatience) { [self] in
            onLoop { keeper in
                guard keeper.forcing?.until == until else { return }
                keeper.endForcing(.failure(.failed("the view could not be installed in time: try again")))
            }
        }
        goOnForcing()
    }

    private func objection(to view: View) -> ForceRefusal? {
        let members = node.colleagues.membership.onLoop { $0.members }
        if let ahead = members.first(where: { $0.state.isLiving && $0.viewNumber > view.number }) {
            return .behind(number: ahead.viewNumber, at: ahead.id.name)
        }
        let report = Views.RecoveryReport(view, observations(view))
        return report.isNeeded ? nil : .notNeeded(living: report.livingVoters, needed: report.majority)
    }

    /// Once the lengths of the replicas are known, or took too long.
    func goOnForcing() {
        guard let view, let forcing, forcing.number == nil else { return }
        guard view.number == forcing.view else { return endForcing(.failure(.failed("another view was installed"))) }
        if let refusal = objection(to: view) { return endForcing(.failure(refusal)) }
        let observed = observations(view)
        let wanted = ViewPlanner.positionsWantedToForce(view, observed)
        guard hasPositions(of: wanted, patience: Limits.coldRollCall) else { return }
        guard let forced = ViewPlanner.recovered(after: view, observations(view), salt: salt) else {
            return endForcing(.failure(.failed("nobody is alive")))
        }
        self.forcing?.number = forced.number
        handle(.force(forced))
    }

    func endForcing(with view: View) {
        guard let forcing else { return }
        guard view.number == forcing.number else {
            return endForcing(.failure(.failed("view \(view.number) was installed instead")))
        }
        endForcing(.success(view))
    }

    func endForcing(_ result: Result<View, ForceRefusal>) {
        guard let completion = forcing?.completion else { return }
        forcing = nil
        completion(result)
    }
}

extension Limits {
    /// How long an operator waits for a view that is forced.
    static let forcePatience = Duration.seconds(10)
}
