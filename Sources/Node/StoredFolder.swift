package import Journal
package import Primitives

/// Whose data folder it is, without starting a node on it: for tools.
extension StoredNode {
    /// The node and its store, as the file `node` says: the journal has to belong to it. Nil: no node was started here.
    ///
    /// - Throws: what is wrong with the file.
    package static func owner(of volume: any Volume) throws -> StoreHolder? {
        guard let bytes = try volume.read(identityFile, upTo: 4096) else { return nil }
        let identity = try DiskIdentity(bytes)
        return StoreHolder(name: identity.name, store: identity.store)
    }
}
