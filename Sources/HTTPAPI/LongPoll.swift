import NIOCore
import ServiceLifecycle

/// Runs `operation` and cancels it when nobody waits for it any more: the client has gone, or the server is about to end.
/// The operation is expected to return soon after that, with what it has.
func untilClientLeaves<Value: Sendable>(
    _ channel: any Channel, _ operation: @escaping @Sendable () async -> Value
) async -> Value {
    let task = Task { await operation() }
    setOnInputClosed(channel) { task.cancel() }
    defer { setOnInputClosed(channel, nil) }
    return await withTaskCancellationHandler {
        await withGracefulShutdownHandler {
            await task.value
        } onGracefulShutdown: {
            task.cancel()
        }
    } onCancel: {
        task.cancel()
    }
}

/// Hummingbird's own way (`consumeWithCancellationOnInboundClose`) closes the connection afterwards; this one keeps it.
private func setOnInputClosed(_ channel: any Channel, _ action: (@Sendable () -> Void)?) {
    channel.eventLoop.execute {
        // `try?`: a channel without the guard (in a test of routes alone) has no client that could leave.
        let guardian = try? channel.pipeline.syncOperations.handler(type: ConnectionGuard.self)
        guardian?.onInputClosed(action)
    }
}
