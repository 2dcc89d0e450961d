import Primitives

extension ViewAgreement {
    mutating func found(_ cluster: ClusterID, _ settings: ClusterSettings) {
        guard record.view == nil else { return }
        let ledger = LedgerID(1)
        adopt(
            View(
                number: 1, cluster: cluster, members: [myself], voters: [myself.voter],
                ledgers: [
                    LedgerAssignment(
                        id: ledger, term: .first, primary: myself.replica, backups: [], founder: myself.replica)
                ],
                nextLedger: LedgerID(2), slots: Array(repeating: ledger, count: Limits.keySlots), settings: settings),
            at: .zero)
    }

    /// A view that was decided, as a peer says.
    mutating func learn(_ view: View, from name: NodeName, at now: Instant, into effects: inout [Effect]) {
        do throws(ViewError) {
            try view.validate()
        } catch {
            effects.append(.refused(.invalidView(error), from: name))
            return
        }
        guard let known = record.view else {
            // Listed with this disk, if not as this process: it was taken in, and ended before it heard of it. It may vote,
            // and without it there may be no majority.
            let isListed = view.members.contains { $0.voter == myself.voter }
            guard settings.joins || isListed else { return }
            adopt(view, at: now)
            return
        }
        guard view.cluster == known.cluster else {
            effects.append(.refused(.foreignCluster(view.cluster), from: name))
            return
        }
        if view.number > known.number {
            adopt(view, at: now)
        } else if view.number == known.number, view != known {
            effects.append(.refused(.conflictingView(number: view.number, digest: view.digest), from: name))
        }
    }

    /// The view is decided: Paxos goes on with the next one at once, `.install` follows when it is on disk.
    mutating func adopt(_ view: View, at now: Instant) {
        record.view = view
        record.promised = nil
        record.accepted = nil
        isRecordDirty = true
        // Votes about a view that is decided are of no use, and the record that they tell of may never be written.
        held.removeAll { if case .install = $0.what { false } else { true } }
        attempt = nil
        desired = nil
        proposeAt = nil
        failures = 0
        highestRound = 0
        confirmations = []
        hasMetRunning = false
        claimed = nil
        claimAt = nil
        met = met.filter { view.voters.contains($0.key) }
        proven = proven.filter { view.voters.contains($0.key) }
        askAt = isConfirmed || view.member(myself.id) != nil ? nil : now
        hold(.install(view))
    }

    mutating func install(_ view: View, at now: Instant, into effects: inout [Effect]) {
        installed = view
        effects.append(.install(view))
        let isNewest = record.view?.number == view.number
        if view.member(myself.id) != nil {
            setConfirmed(into: &effects)
            endColdStart(at: now, into: &effects)
            proposeIfWished(at: now)
        } else if isNewest, isMajority(confirmations) {
            confirmByAnswers(at: now, into: &effects)
        }
    }

    func answerWant(_ message: ViewMessage, into effects: inout [Effect]) {
        let known = record.view?.number ?? 0
        let reply: ViewMessage
        if let view = record.view, message.isRequestAbout(olderThan: view.number) {
            reply = self.message(.decided(view), about: view.number)
        } else {
            let isRunning = isConfirmed && coldUntil == nil
            let asked = message.sender.id.generation
            reply = self.message(.current(asked: asked, isRunning: isRunning), about: known)
        }
        effects.append(.send(reply, to: message.sender.id.name, address: message.sender.address))
    }

    /// Fetches a newer view. Asking for the same number again soon is pointless; who asked in vain hears of it again.
    mutating func hear(
        of number: UInt64, from name: NodeName, _ address: Address, at now: Instant, into effects: inout [Effect]
    ) {
        let known = record.view?.number ?? 0
        guard number > known, name != myself.id.name else { return }
        if let fetched, fetched.number >= number, now - fetched.at < settings.fetchInterval { return }
        fetched = (number, now)
        effects.append(.send(message(.wantView, about: known), to: name, address: address))
    }

    // MARK: Confirmation after a restart

    mutating func askForConfirmation(at now: Instant, into effects: inout [Effect]) {
        askAt = nil
        guard !isConfirmed, let view = record.view else { return }
        askAt = now + settings.confirmationInterval
        // A restart cut a ballot short: its view may have been chosen.
        if record.accepted != nil, proposeAt == nil, attempt == nil {
            proposeAt = now + settings.patience + settings.step * rank
        }
        for voter in view.voters where voter.name != myself.id.name {
            guard let address = address(of: voter.name) else { continue }
            effects.append(.send(message(.wantView, about: view.number), to: voter.name, address: address))
        }
        count(myself.voter, at: now, into: &effects)
    }

    mutating func confirm(
        _ message: ViewMessage, asked: Generation, isRunning: Bool, at now: Instant, into effects: inout [Effect]
    ) {
        guard let view = record.view, asked == myself.id.generation else { return }
        guard (1...view.number).contains(message.number) else {
            let sender = message.sender
            hear(of: message.number, from: sender.id.name, sender.address, at: now, into: &effects)
            return
        }
        let isVoter = view.voters.contains(message.sender.voter)
        if isVoter, isRunning {
            hasMetRunning = true
            if isConfirmed { endColdStart(at: now, into: &effects) }
        }
        count(message.sender.voter, at: now, into: &effects)
    }

    private mutating func count(_ voter: StoreHolder, at now: Instant, into effects: inout [Effect]) {
        guard !isConfirmed, let view = record.view, view.voters.contains(voter), !confirmations.contains(voter) else {
            return
        }
        confirmations.append(voter)
        let isEnough = isMajority(confirmations) || settings.mutation == .solitaryColdStart
        if isEnough, installed?.number == view.number { confirmByAnswers(at: now, into: &effects) }
    }

    /// A majority knows no later view. If nobody among them was running, the cluster was down.
    private mutating func confirmByAnswers(at now: Instant, into effects: inout [Effect]) {
        guard !isConfirmed else { return }
        setConfirmed(into: &effects)
        guard !hasMetRunning else { return proposeIfWished(at: now) }
        coldUntil = now + settings.coldStart
        endColdStartIfAllAreThere(at: now, into: &effects)
    }

    /// Whoever answered is there, whoever is alive for gossip too: also one that has lost its disk, since no waiting
    /// brings that back.
    mutating func endColdStartIfAllAreThere(at now: Instant, into effects: inout [Effect]) {
        guard coldUntil != nil, let view = record.view else { return }
        let isWhole = view.voters.allSatisfy { voter in
            voter.name == myself.id.name || confirmations.contains(voter) || peers[voter.name]?.isAlive ?? false
        }
        if isWhole { endColdStart(at: now, into: &effects) }
    }

    mutating func endColdStart(at now: Instant, into effects: inout [Effect]) {
        guard coldUntil != nil else { return }
        coldUntil = nil
        effects.append(.warm)
        proposeIfWished(at: now)
    }

    private mutating func proposeIfWished(at now: Instant) {
        if desired != nil, isVoter, attempt == nil, proposeAt == nil { proposeAt = now + settings.step * rank }
    }

    private mutating func setConfirmed(into effects: inout [Effect]) {
        guard !isConfirmed else { return }
        isConfirmed = true
        askAt = nil
        effects.append(.confirmed)
    }
}

extension ViewMessage {
    /// Whether the sender would learn something from view `known`. A ballot for view n + 1 tells that the sender knows
    /// n.
    fileprivate func isRequestAbout(olderThan known: UInt64) -> Bool {
        switch body {
        case .prepare, .propose: number <= known
        case .wantView: number < known
        case .promise, .accepted, .refuse, .decided, .current: false
        }
    }
}
