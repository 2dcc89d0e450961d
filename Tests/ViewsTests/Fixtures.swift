import Primitives
import Views

/// Nodes by their name: "a" has generation 1, disk 0xA0 and store 0xA1 until something else is said.
func name(_ letter: String) -> NodeName {
    guard let name = NodeName(letter) else { preconditionFailure("not a name: \(letter)") }
    return name
}

func member(_ letter: String, generation: UInt64 = 1, disk: UInt64? = nil, store: UInt64? = nil) -> Member {
    let base = UInt64(letter.utf8.first ?? 0) << 8
    func address(_ port: UInt16) -> Address { Address(host: letter, port: port) }
    return Member(
        id: NodeID(name: name(letter), generation: Generation(generation)),
        profile: MemberProfile(
            gossip: address(1), peer: address(2), http: address(3), disk: StoreID(disk ?? base),
            store: StoreID(store ?? base + 1), slots: 4))
}

/// `ledger(1, "a", "bc", term: 3)`: L1 in term 3, primary a, backups b and c.
func ledger(_ id: UInt32, _ primary: String, _ backups: String = "", term: UInt64 = 1, founder: String? = nil)
    -> LedgerAssignment
{
    LedgerAssignment(
        id: LedgerID(id), term: Term(term), primary: member(primary).replica,
        backups: backups.map { member(String($0)).replica }, founder: member(founder ?? primary).replica)
}

/// Every member is its own founder's node; ledgers that their founders serve have equal shares of the key slots.
func makeView(
    _ members: String, voters: String, ledgers: [LedgerAssignment], number: UInt64 = 5, copies: UInt8 = 2
) -> View {
    let homes = ledgers.filter { $0.primary == $0.founder }.map(\.id)
    let owners = homes.isEmpty ? ledgers.map(\.id) : homes
    let share = owners.isEmpty ? 0 : (Limits.keySlots + owners.count - 1) / owners.count
    return View(
        number: number, cluster: ClusterID(high: 7, low: 7), members: members.map { member(String($0)) },
        voters: voters.map { member(String($0)).voter }, ledgers: ledgers,
        nextLedger: LedgerID((ledgers.last?.id.rawValue ?? 0) + 1),
        slots: (0..<Limits.keySlots).map { owners.isEmpty ? LedgerID(0) : owners[$0 / share] },
        settings: ClusterSettings(copies: copies))
}

func observed(
    _ member: Member, _ condition: ObservedNode.Condition = .alive, draining: Bool = false, linked: Bool = true
) -> ObservedNode {
    ObservedNode(
        id: member.id, profile: member.profile, condition: condition, isDraining: draining, isLinked: linked)
}

/// Everybody in `alive` as in the fixtures, then what is given in particular.
func observations(alive: String, _ others: ObservedNode...) -> Observations {
    Observations(nodes: alive.map { observed(member(String($0))) } + others)
}

extension View {
    /// `L1.3 a+bc L2.1 b`: what the tables of tests compare.
    var ledgerSummary: String {
        ledgers.map { ledger in
            let backups = ledger.backups.map(\.name.rawValue).joined()
            return "\(ledger.id).\(ledger.term) \(ledger.primary.name)" + (backups.isEmpty ? "" : "+" + backups)
        }.joined(separator: " ")
    }
    var memberSummary: String { members.map(\.id.name.rawValue).joined() }
    var voterSummary: String { voters.map(\.name.rawValue).joined() }
}
