import NIOCore
import Primitives

extension Connection {
    /// Sweeps are no closer together, and deadlines no more exact.
    static var sweepInterval: TimeAmount { .milliseconds(5) }

    // MARK: The dialler's side

    func request(_ frame: Frame, deadline: NIODeadline, _ asker: Asker) {
        let now = NIODeadline.now()
        guard let number = requests.add(asker, deadline: deadline, sentAt: isOpen ? now : nil) else {
            lane?.released(frame.queuedBytes)
            return links.answer(asker, .failure(.overloaded), from: self)
        }
        if isOpen {
            enqueue(.request, number: number, frame)
        } else {
            waiting.append((number, frame))
        }
        sweepNoLater(than: deadline, now: now)
    }

    func send(_ frame: Frame) {
        if isOpen {
            enqueue(.message, number: 0, frame)
        } else {
            waiting.append((0, frame))
        }
    }

    /// The link has opened: what has been waiting for it leaves, except requests whose time ran out.
    func sendWaiting() {
        let now = NIODeadline.now()
        for (number, frame) in waiting {
            if number == 0 {
                enqueue(.message, number: 0, frame)
            } else if requests.markSent(number, at: now) {
                enqueue(.request, number: number, frame)
            } else {
                lane?.released(frame.queuedBytes)
            }
        }
        waiting = []
        flush()
    }

    func answered(_ envelope: Envelope) {
        if let entry = requests.take(envelope.number) {
            links.answer(entry.asker, .success(envelope.frame), from: self)
        } else {
            links.counters.lateAnswers += 1
        }
    }

    func endRequests(_ end: LinkEnd) {
        sweep?.task.cancel()
        sweep = nil
        for (_, frame) in waiting { lane?.released(frame.queuedBytes) }
        waiting = []
        for entry in requests.removeAll() {
            let error: PeerError = entry.sentAt == nil ? .unreachable(end) : .linkLost(end)
            links.answer(entry.asker, .failure(error), from: self)
        }
    }

    // MARK: Deadlines

    /// One task for all requests of the link, due at the earliest deadline: most requests are answered before theirs,
    /// so it seldom runs.
    private func sweepNoLater(than deadline: NIODeadline, now: NIODeadline) {
        let at = max(deadline, now + Self.sweepInterval)
        if let sweep {
            guard at < sweep.at else { return }
            sweep.task.cancel()
        }
        sweep = (links.schedule(at: at) { self.sweepDeadlines() }, at)
    }

    private func sweepDeadlines() {
        sweep = nil
        let now = NIODeadline.now()
        for entry in requests.expire(at: now) {
            if let sentAt = entry.sentAt { silence.expired(sentAt: sentAt) }
            links.answer(entry.asker, .failure(.timedOut(sent: entry.sentAt != nil)), from: self)
        }
        guard !isEnded else { return }
        var next = requests.earliestDeadline
        if let since = silence.since {
            let end = since + TimeAmount(links.tuning.silence)
            guard now < end else { return close(.silent) }
            next = min(next ?? end, end)
        }
        if let next { sweepNoLater(than: next, now: now) }
    }

    // MARK: The acceptor's side

    /// A second answer to one request goes nowhere.
    func answer(_ frame: Frame, number: UInt32) {
        guard isOpen, unanswered.remove(number) != nil else { return }
        enqueue(.response, number: number, frame)
        if queuedBytes > links.tuning.queueBytes { close(.violation(.answersNotTaken)) }
    }
}
