public import Primitives
public import Views

// A view takes about 100 bytes a member and 50 a ledger: 30 KiB for 256 nodes. Ledger numbers are varints, since each
// stands in up to 256 key slots.

extension ByteWriter {
    public mutating func storeHolder(_ value: StoreHolder) {
        nodeName(value.name)
        uint64(value.store.rawValue)
    }

    public mutating func ledgerID(_ value: LedgerID) { varint(UInt64(value.rawValue)) }

    public mutating func view(_ value: View) {
        varint(value.number)
        clusterID(value.cluster)
        array(value.members) { writer, member in
            writer.nodeID(member.id)
            writer.memberProfile(member.profile)
            writer.bool(member.isDraining)
        }
        array(value.voters) { $0.storeHolder($1) }
        array(value.ledgers) { writer, ledger in
            writer.ledgerID(ledger.id)
            writer.varint(ledger.term.rawValue)
            writer.storeHolder(ledger.primary)
            writer.array(ledger.backups) { $0.storeHolder($1) }
            writer.storeHolder(ledger.founder)
        }
        ledgerID(value.nextLedger)
        array(value.slots) { $0.ledgerID($1) }
        array(value.moves) { $0.slotMove($1) }
        clusterSettings(value.settings)
        array(value.losses) { writer, loss in
            writer.ledgerID(loss.ledger)
            writer.nodeName(loss.primary)
            writer.varint(loss.view)
        }
        array(value.exits) { $0.nodeID($1) }
        optional(value.tieMark) { $0.uint64($1) }
    }

    public mutating func ballot(_ value: Ballot) {
        varint(value.round)
        uint64(value.generation.rawValue)
        nodeName(value.name)
    }

    public mutating func acceptedView(_ value: AcceptedView) {
        ballot(value.ballot)
        view(value.view)
    }

    public mutating func viewMessage(_ value: ViewMessage) {
        optional(value.cluster) { $0.clusterID($1) }
        nodeID(value.sender.id)
        uint64(value.sender.disk.rawValue)
        address(value.sender.address)
        varint(value.number)
        uint8(value.body.tag)
        switch value.body {
        case .prepare(let ballot), .accepted(let ballot):
            self.ballot(ballot)
        case .promise(let ballot, let accepted):
            self.ballot(ballot)
            optional(accepted) { $0.acceptedView($1) }
        case .propose(let ballot, let view):
            self.ballot(ballot)
            self.view(view)
        case .refuse(let ballot, let promised):
            self.ballot(ballot)
            self.ballot(promised)
        case .decided(let view):
            self.view(view)
        case .wantView:
            break
        case .current(let asked, let isRunning):
            uint64(asked.rawValue)
            bool(isRunning)
        }
    }
}

extension ByteReader {
    public mutating func storeHolder() throws(WireError) -> StoreHolder {
        StoreHolder(name: try nodeName(), store: StoreID(try uint64()))
    }

    public mutating func ledgerID() throws(WireError) -> LedgerID { LedgerID(try varint32("ledger")) }

    /// A view that keeps its invariants; any other is refused.
    public mutating func view() throws(WireError) -> View {
        let view = View(
            number: try varint(), cluster: try clusterID(),
            members: try array(upTo: Limits.members, "members") { (reader) throws(WireError) in
                Member(
                    id: try reader.nodeID(), profile: try reader.memberProfile(), isDraining: try reader.bool())
            },
            voters: try array(upTo: Limits.voters, "voters") { (reader) throws(WireError) in try reader.storeHolder() },
            ledgers: try array(upTo: Limits.ledgers, "ledgers") { (reader) throws(WireError) in
                LedgerAssignment(
                    id: try reader.ledgerID(), term: Term(try reader.varint()), primary: try reader.storeHolder(),
                    backups: try reader.array(upTo: Limits.replicas - 1, "backups") { (reader) throws(WireError) in
                        try reader.storeHolder()
                    },
                    founder: try reader.storeHolder())
            },
            nextLedger: try ledgerID(),
            slots: try array(upTo: Limits.keySlots, "key slots") { (reader) throws(WireError) in try reader.ledgerID()
            },
            moves: try slotMoves(), settings: try clusterSettings(),
            losses: try array(upTo: Limits.lostLedgers, "losses") { (reader) throws(WireError) in
                LedgerLoss(ledger: try reader.ledgerID(), primary: try reader.nodeName(), view: try reader.varint())
            },
            exits: try array(upTo: Limits.members, "exits") { (reader) throws(WireError) in try reader.nodeID() },
            tieMark: try optional { (reader) throws(WireError) in try reader.uint64() })
        do throws(ViewError) {
            try view.validate()
        } catch {
            throw .invalid(error.description)
        }
        return view
    }

    public mutating func ballot() throws(WireError) -> Ballot {
        Ballot(round: try varint(), generation: Generation(try uint64()), name: try nodeName())
    }

    public mutating func acceptedView() throws(WireError) -> AcceptedView {
        AcceptedView(ballot: try ballot(), view: try view())
    }

    public mutating func viewMessage() throws(WireError) -> ViewMessage {
        let cluster = try optional { (reader) throws(WireError) in try reader.clusterID() }
        let sender = ViewMessage.Sender(id: try nodeID(), disk: StoreID(try uint64()), address: try address())
        let number = try varint()
        let body = try viewMessageBody()
        guard body.isAbout(number) else { throw .invalid("view number") }
        return ViewMessage(cluster: cluster, sender: sender, number: number, body: body)
    }

    private mutating func viewMessageBody() throws(WireError) -> ViewMessage.Body {
        switch try uint8() {
        case 1: .prepare(try ballot())
        case 2:
            .promise(
                try ballot(), accepted: try optional { (reader) throws(WireError) in try reader.acceptedView() })
        case 3: .propose(try ballot(), try view())
        case 4: .accepted(try ballot())
        case 5: .refuse(try ballot(), promised: try ballot())
        case 6: .decided(try view())
        case 7: .wantView
        case 8: .current(asked: Generation(try uint64()), isRunning: try bool())
        default: throw .invalid("kind of view message")
        }
    }
}

extension ViewMessage.Body {
    /// Never given to another meaning.
    fileprivate var tag: UInt8 {
        switch self {
        case .prepare: 1
        case .promise: 2
        case .propose: 3
        case .accepted: 4
        case .refuse: 5
        case .decided: 6
        case .wantView: 7
        case .current: 8
        }
    }

    /// Whether the view inside is the one that the message is about, or one that may be forced in its place.
    fileprivate func isAbout(_ number: UInt64) -> Bool {
        switch self {
        case .decided(let view): view.number == number
        case .propose(_, let view): view.number >= number
        case .promise(_, let accepted): accepted?.view.number ?? number >= number
        case .prepare, .accepted, .refuse, .wantView, .current: true
        }
    }
}
