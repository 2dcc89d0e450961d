import Primitives

extension ViewAgreement {
    /// This node's answer as a voter, from its record as it is in memory: what it has accepted there counts before it is
    /// on disk, and the vote for it goes out only after that.
    public func answer(_ request: PermitRequest) -> PermitReply {
        PermitReply(
            number: request.number, disk: myself.profile.disk, verdict: FenceDuty.verdict(on: request, by: record))
    }
}
