import Primitives

extension View {
    /// A hash of the whole content (FNV-1a, 64 bits), the same on every machine and in every version that knows the
    /// same fields. Nodes that show the same number and digest agree on the view.
    public var digest: UInt64 {
        var hash = StableHash()
        hash.mix(number)
        hash.mix(cluster.high)
        hash.mix(cluster.low)
        hash.mix(members) { hash, member in
            hash.mix(member.id.name.rawValue)
            hash.mix(member.id.generation.rawValue)
            for address in [member.profile.gossip, member.profile.peer, member.profile.http] {
                hash.mix(address.host)
                hash.mix(UInt64(address.port))
            }
            hash.mix(member.profile.disk.rawValue)
            hash.mix(member.profile.store.rawValue)
            hash.mix(UInt64(member.profile.slots))
            hash.mix(member.isDraining ? 1 : 0)
        }
        hash.mix(voters) { $0.mix($1) }
        hash.mix(ledgers) { hash, ledger in
            hash.mix(UInt64(ledger.id.rawValue))
            hash.mix(ledger.term.rawValue)
            hash.mix(ledger.primary)
            hash.mix(ledger.backups) { $0.mix($1) }
            hash.mix(ledger.founder)
        }
        hash.mix(UInt64(nextLedger.rawValue))
        hash.mix(slots) { $0.mix(UInt64($1.rawValue)) }
        hash.mix(moves) { hash, move in
            hash.mix(UInt64(move.slot.rawValue))
            hash.mix(UInt64(move.to.rawValue))
        }
        hash.mix(settings)
        hash.mix(losses) { hash, loss in
            hash.mix(UInt64(loss.ledger.rawValue))
            hash.mix(loss.primary.rawValue)
            hash.mix(loss.view)
        }
        hash.mix(exits) { hash, exit in
            hash.mix(exit.name.rawValue)
            hash.mix(exit.generation.rawValue)
        }
        hash.mix(tieMark)
        return hash.value
    }
}

/// FNV-1a over 64 bits (Fowler, Noll, Vo). Every value is preceded by its length where it has one.
private struct StableHash {
    private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func mix(byte: UInt8) {
        value ^= UInt64(byte)
        value = value &* 0x0000_0100_0000_01B3
    }

    mutating func mix(_ number: UInt64) {
        for shift in stride(from: 56, through: 0, by: -8) {
            mix(byte: UInt8(truncatingIfNeeded: number >> UInt64(shift)))
        }
    }

    mutating func mix(_ text: String) {
        mix(UInt64(text.utf8.count))
        for byte in text.utf8 { mix(byte: byte) }
    }

    mutating func mix(_ bytes: [UInt8]) {
        mix(UInt64(bytes.count))
        for byte in bytes { mix(byte: byte) }
    }

    mutating func mix(_ settings: ClusterSettings) {
        mix(UInt64(settings.copies))
        mix(settings.queues) { hash, queue in
            hash.mix(queue.name)
            hash.mix(queue.isPaused ? 1 : 0)
            hash.mix(queue.maxLength.map(UInt64.init))
            hash.mix(queue.maxBytes)
            hash.mix(queue.maxRetries.map(UInt64.init))
            hash.mix(queue.retry == nil ? 0 : 1)
            if let retry = queue.retry {
                hash.mix(UInt64(retry.backoff.rawValue))
                hash.mix(UInt64(retry.base))
                hash.mix(UInt64(retry.maximum))
                hash.mix(UInt64(retry.jitter))
            }
            hash.mix(queue.timeout.map(UInt64.init))
            hash.mix(UInt64(queue.weight))
            hash.mix(queue.rate.map(UInt64.init))
            hash.mix(queue.concurrency.map(UInt64.init))
        }
        mix(settings.subscriptions) { hash, subscription in
            hash.mix(subscription.name)
            hash.mix(subscription.pattern.text)
            hash.mix(subscription.task)
        }
        mix(settings.schedules) { $0.mix($1) }
        mix(settings.applied) { hash, change in
            hash.mix(change.id)
            hash.mix(UInt64(change.refusal?.rawValue ?? 0))
        }
    }

    private mutating func mix(_ schedule: ScheduleSettings) {
        mix(schedule.name)
        switch schedule.timing {
        case .cron(let text, let zone):
            mix(1)
            mix(text)
            mix(zone)
        case .interval(let milliseconds):
            mix(2)
            mix(milliseconds)
        }
        mix(UInt64(schedule.jitter))
        mix(UInt64(schedule.overlap.rawValue))
        mix(UInt64(schedule.catchUp.rawValue))
        mix(schedule.isPaused ? 1 : 0)
        mix(UInt64(schedule.inherited.rawValue))
        mix(schedule.task) { $0.mix(byte: $1) }
        mix(schedule.version)
        mix(UInt64(bitPattern: schedule.since.milliseconds))
        mix(UInt64(bitPattern: schedule.createdAt.milliseconds))
    }

    mutating func mix(_ number: UInt64?) { mix(number.map { [$0] } ?? []) { $0.mix($1) } }

    mutating func mix(_ holder: StoreHolder) {
        mix(holder.name.rawValue)
        mix(holder.store.rawValue)
    }

    mutating func mix<Element>(_ elements: [Element], _ mixElement: (inout StableHash, Element) -> Void) {
        mix(UInt64(elements.count))
        for element in elements { mixElement(&self, element) }
    }
}
