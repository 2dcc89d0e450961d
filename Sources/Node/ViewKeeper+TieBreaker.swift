import Primitives
import Registry
import Views

/// The registry, where two voters need it.
extension ViewKeeper {
    /// The registry's connection has changed, or its store: of the events of `Registry`.
    func registryChanged(_ event: RegistryEvent) {
        switch event {
        case .connected(let isFresh):
            guard isFresh || !isRegistryConnected else { return }
            isRegistryConnected = true
            tell(.connected(isFresh: isFresh))
        case .emptied:
            isRegistryConnected = true
            tell(.connected(isFresh: true))
        case .disconnected:
            guard isRegistryConnected else { return }
            isRegistryConnected = false
            tell(.disconnected)
        }
    }

    /// In case that nobody has said so.
    func noticeRegistry() {
        let isConnected = node.registry.storesResults && node.registry.isConnected
        guard isConnected != isRegistryConnected else { return }
        isRegistryConnected = isConnected
        tell(isConnected ? .connected(isFresh: false) : .disconnected)
    }

    func tell(_ event: TieBreaker.Event) {
        guard !isStopped, node.registry.storesResults else { return }
        var effects: [TieBreaker.Effect] = []
        tie.handle(event, at: node.now, into: &effects)
        for effect in effects {
            switch effect {
            case .ask(let query):
                node.registry.claimView(query.key, by: query.name, ttl: query.ttl) { [self] result in
                    onLoop { $0.registryAnswered(query, result) }
                }
            case .granted(let number):
                node.logger.warning("deciding alone, by a claim", metadata: ["view": "\(number)"])
                handle(.claimGranted(number: number))
            case .taken(let number, let name):
                // It is asked again and again; once is enough to say.
                guard lastTaken != number else { break }
                lastTaken = number
                node.logger.warning(
                    "the other node may decide alone: waiting for it",
                    metadata: ["view": "\(number)", "node": "\(name)"])
            case .changed:
                reconsider()
            }
        }
        setTimer()
    }

    private func registryAnswered(_ query: TieBreaker.Query, _ result: Result<NodeName, RegistryError>) {
        switch result {
        case .success(let name):
            tell(.answered(query, name))
        case .failure(let error):
            node.logger.debug("registry: claim failed", metadata: ["reason": "\(error)"])
            tell(.answered(query, nil))
        }
    }
}
