/// What a node tells the others about its load: 16 bytes on every gossip message, and on every steal.
public struct LoadDigest: Hashable, Sendable {
    /// Tasks that could start now, of which this node is the owner.
    public var ready: UInt32
    /// Tasks of this node's ledgers that have no outcome yet, in whatever state.
    public var open: UInt32
    /// Priority of the task that would start next; 0 if none.
    public var headPriority: UInt8
    /// The node takes no new work and hands over what it has.
    public var isDraining: Bool
    /// Execution slots that are free.
    public var freeSlots: UInt16
    /// How long the oldest ready task has been waiting, in tenths of a second.
    public var oldestAge: UInt32

    public init(
        ready: UInt32 = 0, open: UInt32 = 0, headPriority: UInt8 = 0, isDraining: Bool = false, freeSlots: UInt16 = 0,
        oldestAge: UInt32 = 0
    ) {
        self.ready = ready
        self.open = open
        self.headPriority = headPriority
        self.isDraining = isDraining
        self.freeSlots = freeSlots
        self.oldestAge = oldestAge
    }
}
