import Primitives
import Service
import Views

/// What an operator may do when no majority is left.
extension NodeService {
    func recovery() async -> Service.RecoveryReport? {
        guard let report = await actors.views.recoveryReport() else { return nil }
        func ledger(_ ledger: Views.RecoveryReport.Ledger) -> Service.RecoveryReport.Ledger {
            Service.RecoveryReport.Ledger(
                id: ledger.id, founder: ledger.founder, primary: ledger.primary, replicas: ledger.replicas,
                living: ledger.living)
        }
        return Service.RecoveryReport(
            answeredBy: node.name, viewNumber: report.viewNumber, voters: report.voters, majority: report.majority,
            missingVoters: report.missingVoters.map {
                Service.RecoveryReport.MissingVoter(name: $0.name, hasOtherDisk: $0.hasOtherDisk)
            }, lostLedgers: report.lostLedgers.map(ledger), keptLedgers: report.keptLedgers.map(ledger),
            isNeeded: report.isNeeded)
    }

    func recover() async -> RecoveryOutcome {
        // What is given up is known before: afterwards the view does not list it any more.
        guard let report = await recovery() else { return .unavailable("\(node.name) knows of no cluster yet") }
        let views = actors.views
        let result = await withCheckedContinuation { continuation in
            node.scheduler.execute { views.onLoop { $0.forceView { continuation.resume(returning: $0) } } }
        }
        switch result {
        case .success(let view): return .forced(viewNumber: view.number, report)
        case .failure(let refusal):
            switch refusal {
            case .notNeeded: return .refused("\(refusal)")
            case .noView, .behind, .underWay, .failed, .stopped: return .unavailable("\(refusal)")
            }
        }
    }
}
