import Primitives

extension ViewAgreement {
    /// Phase 1. A repeated request is answered again: the first answer may be lost.
    mutating func prepare(
        _ ballot: Ballot, _ sender: ViewMessage.Sender, at now: Instant, into effects: inout [Effect]
    ) {
        guard ballot.name == sender.id.name else { return }
        if let promised = record.promised, ballot < promised {
            answer(sender, .refuse(ballot, promised: promised), into: &effects)
            return
        }
        promise(ballot)
        answer(sender, .promise(ballot, accepted: record.accepted), into: &effects)
        giveTime(to: ballot, at: now)
    }

    /// Phase 2.
    mutating func accept(
        _ view: View, in ballot: Ballot, _ sender: ViewMessage.Sender, at now: Instant, into effects: inout [Effect]
    ) {
        guard ballot.name == sender.id.name, let current = record.view else { return }
        if let promised = record.promised, ballot < promised {
            answer(sender, .refuse(ballot, promised: promised), into: &effects)
            return
        }
        if let accepted = record.accepted, accepted.ballot == ballot {
            guard accepted.view == view else {
                effects.append(.refused(.conflictingProposal(ballot), from: sender.id.name))
                return
            }
        } else {
            do throws(ViewError) {
                try view.validate(after: current)
            } catch {
                effects.append(.refused(.invalidView(error), from: sender.id.name))
                return
            }
            promise(ballot)
            record.accepted = AcceptedView(ballot: ballot, view: view)
            isRecordDirty = true
        }
        answer(sender, .accepted(ballot), into: &effects)
        giveTime(to: ballot, at: now)
    }

    private mutating func promise(_ ballot: Ballot) {
        highestRound = max(highestRound, ballot.round)
        guard record.promised != ballot else { return }
        record.promised = ballot
        isRecordDirty = true
    }

    /// To a proposer, possibly this node itself; once the record that the answer tells of is on disk.
    private mutating func answer(
        _ proposer: ViewMessage.Sender, _ body: ViewMessage.Body, into effects: inout [Effect]
    ) {
        guard let view = record.view else { return }
        let message = message(body, about: view.number &+ 1)
        if proposer.id == myself.id {
            hold(.count(message))
        } else {
            hold(.send(message, to: proposer.id.name, address: proposer.address))
        }
    }
}
