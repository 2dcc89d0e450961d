public import Primitives

extension ByteWriter {
    public mutating func nodeName(_ value: NodeName) { string(value.rawValue) }

    public mutating func nodeID(_ value: NodeID) {
        nodeName(value.name)
        uint64(value.generation.rawValue)
    }

    public mutating func address(_ value: Address) {
        string(value.host)
        uint16(value.port)
    }

    public mutating func clusterID(_ value: ClusterID) {
        uint64(value.high)
        uint64(value.low)
    }

    public mutating func memberProfile(_ value: MemberProfile) {
        address(value.gossip)
        address(value.peer)
        address(value.http)
        uint64(value.disk.rawValue)
        uint64(value.store.rawValue)
        uint16(value.slots)
    }

    public mutating func taskID(_ value: TaskID) {
        uint64(value.high)
        uint64(value.low)
    }

    public mutating func token(_ value: Token) {
        varint(UInt64(value.run))
        varint(value.term.rawValue)
        varint(UInt64(value.attempt))
    }

    /// 16 bytes.
    public mutating func loadDigest(_ value: LoadDigest) {
        uint32(value.ready)
        uint32(value.open)
        uint8(value.headPriority)
        bool(value.isDraining)
        uint16(value.freeSlots)
        uint32(value.oldestAge)
    }
}

extension ByteReader {
    public mutating func nodeName() throws(WireError) -> NodeName {
        guard let name = NodeName(try string(upTo: Limits.nameBytes, "node name")) else { throw .invalid("node name") }
        return name
    }

    public mutating func nodeID() throws(WireError) -> NodeID {
        NodeID(name: try nodeName(), generation: Generation(try uint64()))
    }

    public mutating func address() throws(WireError) -> Address {
        Address(host: try string(upTo: Limits.hostBytes, "address"), port: try uint16())
    }

    public mutating func clusterID() throws(WireError) -> ClusterID {
        ClusterID(high: try uint64(), low: try uint64())
    }

    public mutating func memberProfile() throws(WireError) -> MemberProfile {
        MemberProfile(
            gossip: try address(), peer: try address(), http: try address(), disk: StoreID(try uint64()),
            store: StoreID(try uint64()), slots: try uint16())
    }

    public mutating func taskID() throws(WireError) -> TaskID { TaskID(high: try uint64(), low: try uint64()) }

    public mutating func token() throws(WireError) -> Token {
        Token(run: try varint32("token"), term: Term(try varint()), attempt: try varint32("token"))
    }

    /// A varint that has to fit 32 bits.
    public mutating func varint32(_ field: String) throws(WireError) -> UInt32 {
        guard let value = UInt32(exactly: try varint()) else { throw .invalid(field) }
        return value
    }

    public mutating func loadDigest() throws(WireError) -> LoadDigest {
        LoadDigest(
            ready: try uint32(), open: try uint32(), headPriority: try uint8(), isDraining: try bool(),
            freeSlots: try uint16(), oldestAge: try uint32())
    }
}
