import Primitives
import Testing
import Views

/// Changes of the cluster's settings.
@Suite struct SettingsTests {
    private let view = makeView(
        "abc", voters: "abc", ledgers: [ledger(1, "a", "b"), ledger(2, "b", "c"), ledger(3, "c", "a")])
    private let nothingNew = observations(alive: "abc")

    private func change(_ id: UInt64, view: UInt64 = 5, _ queue: String, _ fields: QueueField...) -> SettingsChange {
        SettingsChange(id: id, view: view, operation: .queue(queue, fields))
    }

    private func next(after view: View, _ changes: [SettingsChange]) -> View? {
        var observed = nothingNew
        observed.changes = changes
        return ViewPlanner.next(after: view, observed)
    }

    @Test func a_change_makes_a_view_that_tells_of_it_and_is_void_afterwards() throws {
        let changes = [change(7, "mail", .isPaused(true), .weight(3))]
        let made = try #require(next(after: view, changes))
        try made.validate(after: view)
        var mail = QueueSettings(name: "mail")
        mail.isPaused = true
        mail.weight = 3
        #expect(made.settings.queues == [mail])
        #expect(made.settings.applied == [AppliedChange(id: 7)])
        #expect(made.digest != view.digest)
        #expect(next(after: made, changes) == nil, "repeated, it is not applied again")
    }

    @Test(arguments: [4, 6] as [UInt64]) func a_change_is_void_in_another_view(named: UInt64) {
        #expect(next(after: view, [change(7, view: named, "mail", .isPaused(true))]) == nil)
    }

    @Test func changes_at_the_same_time_add_up_in_one_order() throws {
        let changes = [
            change(3, "mail", .weight(3)), change(1, "mail", .timeout(500)), change(9, "mail", .weight(9)),
            change(2, "a", .maxLength(10)), change(9, "mail", .weight(9)),
        ]
        let made = try #require(next(after: view, changes))
        #expect(made == next(after: view, changes.reversed()))
        var (a, mail) = (QueueSettings(name: "a"), QueueSettings(name: "mail"))
        a.maxLength = 10
        mail.timeout = 500
        mail.weight = 9
        #expect(made.settings.queues == [a, mail])
        #expect(made.settings.applied.map(\.id) == [1, 2, 3, 9])
    }

    @Test func what_is_reset_is_forgotten() throws {
        let set = try #require(
            next(
                after: view,
                [
                    change(
                        1, "mail", .isPaused(true), .maxLength(1), .maxRetries(2),
                        .retry(RetryPolicy(maxRetries: 0, backoff: .fixed)), .timeout(3), .weight(4), .rate(5),
                        .concurrency(6), .maxBytes(7))
                ]))
        #expect(set.settings.queue("mail") != QueueSettings(name: "mail"))
        let reset = try #require(
            next(
                after: set,
                [
                    change(
                        2, view: 6, "mail", .isPaused(false), .maxLength(nil), .maxRetries(nil), .retry(nil),
                        .timeout(nil), .weight(nil), .rate(nil), .concurrency(nil), .maxBytes(nil))
                ]))
        #expect(reset.settings.queues == [])
        #expect(reset.settings.applied.map(\.id) == [1, 2])
    }

    @Test(arguments: [
        [QueueField.weight(0)], [.weight(1001)], [.rate(0)], [.rate(1_000_000_001)], [.concurrency(0)],
        [.maxBytes(1 << 50 + 1)],
        [.maxRetries(101)], [.timeout(86_400_001)],
        [.retry(RetryPolicy(maxRetries: 1))], [.isPaused(true), .weight(0)],
    ]) func what_breaks_a_bound_is_refused_whole(fields: [QueueField]) throws {
        let made = try #require(
            next(after: view, [SettingsChange(id: 1, view: 5, operation: .queue("mail", fields))]))
        #expect(made.settings.queues == [])
        #expect(made.settings.applied == [AppliedChange(id: 1, refusal: .invalid)])
    }

    @Test func only_so_many_queues_have_settings_and_only_so_many_changes_are_told_of() throws {
        var latest = view
        for number in 0..<UInt64(Limits.configuredQueues + 1) where number.isMultiple(of: 64) {
            let changes = (number..<min(number + 64, UInt64(Limits.configuredQueues + 1))).map { id in
                change(id, view: latest.number, "q\(id)", .isPaused(true))
            }
            latest = try #require(next(after: latest, changes))
            try latest.validate()
        }
        #expect(latest.settings.queues.count == Limits.configuredQueues)
        #expect(latest.settings.applied.count == Limits.appliedChanges)
        #expect(latest.settings.applied.last == AppliedChange(id: 1000, refusal: .tooManyQueues))
        let known = try #require(next(after: latest, [change(5000, view: latest.number, "q7", .isPaused(false))]))
        #expect(known.settings.queues.count == Limits.configuredQueues - 1)
    }

    @Test func a_view_makes_only_so_many_changes() throws {
        let changes = (0..<UInt64(Limits.changesPerView + 1)).map { change($0, "q", .weight(UInt16($0 + 2))) }
        let made = try #require(next(after: view, changes))
        #expect(made.settings.applied.count == Limits.changesPerView)
        #expect(made.settings.queue("q").weight == UInt16(Limits.changesPerView + 1))
    }

    @Test func a_forced_view_keeps_the_settings() throws {
        let paused = try #require(next(after: view, [change(1, "mail", .isPaused(true))]))
        var observed = observations(alive: "a", observed(member("b"), .gone), observed(member("c"), .gone))
        for index in observed.nodes.indices { observed.nodes[index].isExitProven = index > 0 }
        #expect(ViewPlanner.mayForce(after: paused, observed))
        let forced = try #require(ViewPlanner.forced(after: paused, observed, salt: 3))
        #expect(forced.settings == paused.settings)
    }

    @Test func a_view_with_settings_that_break_a_rule_is_refused() throws {
        func refused(_ change: (inout ClusterSettings) -> Void) -> Bool {
            var bad = view
            change(&bad.settings)
            do throws(ViewError) {
                try bad.validate()
                return false
            } catch {
                return true
            }
        }
        func paused(_ name: String) -> QueueSettings {
            var queue = QueueSettings(name: name)
            queue.isPaused = true
            return queue
        }
        #expect(!refused { $0.queues = [paused("a"), paused("b")] })
        #expect(refused { $0.queues = [paused("b"), paused("a")] })
        #expect(refused { $0.queues = [paused("a"), paused("a")] })
        #expect(refused { $0.queues = [paused("A b")] })
        #expect(refused { $0.queues = [QueueSettings(name: "a")] })
        #expect(refused { $0.applied = Array(repeating: AppliedChange(id: 1), count: Limits.appliedChanges + 1) })
        #expect(refused { $0.copies = 0 })
    }

    // MARK: Subscriptions

    private func subscription(_ name: String, _ pattern: String = "a.#", bytes: Int = 20) throws -> Subscription {
        Subscription(
            name: name, pattern: try #require(TopicPattern(pattern)), task: Array(repeating: 0x20, count: bytes))
    }

    @Test func subscriptions_are_made_changed_and_ended() throws {
        var settings = ClusterSettings()
        for name in ["mail", "audit", "stock"] {
            settings = try settings.applying(.subscribe(subscription(name, "orders.*")), in: 7)
        }
        #expect(settings.subscriptions.map(\.name) == ["audit", "mail", "stock"])
        settings = try settings.applying(.subscribe(subscription("mail", "orders.#")), in: 7)
        #expect(settings.subscribers(of: "orders").map(\.name) == ["mail"])
        #expect(settings.subscribers(of: "orders.paid").map(\.name) == ["audit", "mail", "stock"])
        settings = try settings.applying(.unsubscribe("mail"), in: 7)
        #expect(settings.subscribers(of: "orders").isEmpty)
        #expect(try settings.applying(.unsubscribe("nobody"), in: 7) == settings)
    }

    @Test func subscriptions_are_bounded_in_number_and_bytes() throws {
        var settings = ClusterSettings()
        for number in 0..<Limits.subscriptions {
            settings = try settings.applying(.subscribe(subscription("s\(number)")), in: 7)
        }
        let full = settings
        #expect(throws: SettingsRefusal.tooManySubscriptions) {
            try full.applying(.subscribe(subscription("another")), in: 7)
        }
        #expect(
            try full.applying(.subscribe(subscription("s7", "b")), in: 7).subscriptions.count == Limits.subscriptions)
        var large = ClusterSettings()
        let fitting = Limits.subscriptionBytes / (Limits.subscribedTaskBytes + 32)
        for number in 0..<fitting {
            large = try large.applying(.subscribe(subscription("s\(number)", bytes: Limits.subscribedTaskBytes)), in: 7)
        }
        let most = large
        #expect(throws: SettingsRefusal.tooManySubscriptions) {
            try most.applying(.subscribe(subscription("another", bytes: Limits.subscribedTaskBytes)), in: 7)
        }
        #expect(throws: SettingsRefusal.invalid) {
            try ClusterSettings().applying(
                .subscribe(subscription("big", bytes: Limits.subscribedTaskBytes + 1)), in: 7)
        }
    }
}
