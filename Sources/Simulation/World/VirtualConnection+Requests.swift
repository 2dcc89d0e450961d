import Peers
import Primitives

/// The dialler's side: requests, their deadlines, and silence. As `Connection+Requests` of Peers.
extension VirtualConnection {
    func request(_ frame: Frame, deadline: Instant, _ asker: VirtualAsker) {
        let now = process.now
        guard let number = requests.add(asker, deadline: deadline, sentAt: isOpen ? now : nil) else {
            lane?.released(frame.countedBytes)
            return transport.answer(asker, .failure(.overloaded), from: self)
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

    func sendWaiting() {
        let now = process.now
        for (number, frame) in waiting {
            if number == 0 {
                enqueue(.message, number: 0, frame)
            } else if requests.markSent(number, at: now) {
                enqueue(.request, number: number, frame)
            } else {
                lane?.released(frame.countedBytes)
            }
        }
        waiting = []
        flush()
    }

    func answered(_ envelope: VirtualEnvelope) {
        guard let entry = requests.take(envelope.number) else { return }
        transport.answer(entry.asker, .success(envelope.frame), from: self)
    }

    private func sweepNoLater(than deadline: Instant, now: Instant) {
        let at = max(deadline, now + Self.sweepInterval)
        if let sweep {
            guard at < sweep.at else { return }
            sweep.timer.cancel()
        }
        sweep = (process.schedule(.connect, after: at - now) { [self] in sweepDeadlines() }, at)
    }

    private func sweepDeadlines() {
        sweep = nil
        let now = process.now
        for entry in requests.expire(at: now) {
            if let sentAt = entry.sentAt { silence.expired(sentAt: sentAt) }
            transport.answer(entry.asker, .failure(.timedOut(sent: entry.sentAt != nil)), from: self)
        }
        guard state != .ended else { return }
        var next = requests.earliestDeadline
        if let since = silence.since {
            let end = since + transport.tuning.silence
            guard now < end else { return close(.silent) }
            next = min(next ?? end, end)
        }
        if let next { sweepNoLater(than: next, now: now) }
    }
}
