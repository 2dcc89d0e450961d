import Primitives

/// What others say of this node: it refutes suspicions; a verdict it has to accept, with one exception.
///
/// After a partition two members may hold each other dead. Both returning under new generations would do, but a
/// majority would then pay for what a minority believed. So the one that outranks the other, by view number and then by
/// name, ignores the verdict and passes its own. The same holds for the verdict of a generation never met: one that
/// could hear but not be heard, say, and has returned meanwhile.
extension Membership {
    var ownRumor: Rumor { Rumor(own, toldBy: own.id.name) }

    mutating func hearOfMyself(
        _ rumor: Rumor, from teller: Teller, corrections: inout [Rumor], at now: Instant,
        into effects: inout [Effect]
    ) {
        guard rumor.subject == own.id else {
            if rumor.subject.generation > own.id.generation {
                if rumor.state.isLiving || !outlive(rumor.subject, into: &effects) {
                    noticeRival(rumor.subject, isItself: false, at: now, into: &effects)
                }
            } else if rumor.state.isLiving {
                corrections.append(ownRumor)
            }
            return
        }
        guard phase == .active else { return }
        switch rumor {
        case .alive(_, let incarnation, _):
            // Nobody but this node raises it; but once somebody has, lower ones would be ignored.
            if incarnation > own.incarnation { announce(above: incarnation) }
        case .suspect(_, let incarnation, _, _):
            if incarnation >= own.incarnation {
                health.worsen()
                announce(above: incarnation)
            }
            corrections.append(ownRumor)
        case .dead, .left:
            condemn(by: teller, into: &effects)
        }
    }

    /// Spreads that this node is alive, under an incarnation that overrides `incarnation`.
    mutating func announce(above incarnation: Incarnation) {
        own.incarnation = max(own.incarnation, incarnation).next
        queue.enqueue(ownRumor)
        isUrgent = true
    }

    mutating func condemn(by teller: Teller, into effects: inout [Effect]) {
        guard phase == .active, !isCondemned else { return }
        isCondemned = true
        effects.append(.declaredDead(by: teller.id))
    }

    func isVerdictOnMyself(_ rumor: Rumor) -> Bool { rumor.subject == own.id && !rumor.state.isLiving }

    /// Whether, of two that hold each other dead, this one stays. Both sides come to the same answer.
    func outranks(_ teller: Teller) -> Bool {
        teller.viewNumber != own.viewNumber
            ? own.viewNumber > teller.viewNumber : own.id.name < teller.id.name
    }

    /// A later generation of this node's name is about. What others say of it may be what is left of one that has ended,
    /// if this node's clock was set back since and its disk is new: they will notice soon, and then this one takes its
    /// place. If they do not, or it speaks for itself, another process has the name.
    mutating func noticeRival(_ id: NodeID, isItself: Bool, at now: Instant, into effects: inout [Effect]) {
        guard id.generation > own.id.generation, id.generation >= rival?.generation ?? own.id.generation else { return }
        if rival?.generation != id.generation { rival = Rival(generation: id.generation, since: now) }
        guard let known = rival, !known.isTold, isItself || now - known.since >= settings.rivalPatience else { return }
        rival?.isTold = true
        effects.append(.nameTaken(id))
    }

    /// That later generation is over.
    /// - Returns: whether there can be one above it.
    private mutating func outlive(_ id: NodeID, into effects: inout [Effect]) -> Bool {
        guard id.generation.rawValue < .max else { return false }
        guard phase == .active, !isCondemned else { return true }
        isCondemned = true
        effects.append(.outlived(id))
        return true
    }

    mutating func changeProfile(to profile: MemberProfile) {
        guard profile != own.profile else { return }
        own.profile = profile
        announce(above: own.incarnation)
    }
}
