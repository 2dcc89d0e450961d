public import Primitives

extension Membership {
    /// What the machine is told.
    public enum Event: Hashable, Sendable {
        /// `nextDeadline` has come.
        case tick
        /// A datagram that the codec accepted.
        case received(GossipMessage, from: Address)
        /// Try these addresses, at once and as long as this node is alone; repeatable, they are added to those known.
        case join(seeds: [Address])
        /// Spread that this node leaves; `left` follows within half a second.
        case leave
        /// This node goes on under a new generation of its name.
        case restart(NodeID)
        /// Its connection was reset, and a new one refused: that process is gone, as far as this node can see.
        case exitProof(NodeID)
        /// Its connection was lost, which need not mean anything.
        case connectionLost(NodeID)
        /// A datagram to that address came back: its host says that nobody listens there (ECONNREFUSED). An unreachable
        /// host or network is none.
        case portUnreachable(Address)
        case loadChanged(LoadDigest)
        /// This node has installed a view.
        case viewChanged(number: UInt64)
        case profileChanged(MemberProfile)
        /// A peer's full state, by push-pull.
        case merge([MemberRecord], from: NodeID)
    }

    /// What the machine asks for.
    public enum Effect: Hashable, Sendable {
        case send(GossipMessage, to: Address)
        /// A generation is new (`was` is nil), changed its state, or (`was` is its state) its profile, or its exit is
        /// proven now.
        indirect case memberChanged(MemberRecord, was: MemberState?)
        case loadChanged(NodeID, LoadDigest, viewNumber: UInt64)
        /// Exchange full states with it over TCP; both sides then get `.merge`.
        case pushPull(NodeID)
        /// `by` holds this node's generation for dead or left, which is final: return under a new one. Told once.
        case declaredDead(by: NodeID)
        /// A later generation of this node's name is over: return under one above it. Told once.
        case outlived(NodeID)
        /// A later generation of this node's name is about, and does not end: another process has the name. Told once for
        /// each.
        case nameTaken(NodeID)
        /// The farewell was spread; nothing is sent any more.
        case left
    }
}
