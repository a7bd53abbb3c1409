// Letting the event loop have its turn between two pieces of work that would otherwise hold it up.

/** Where there is no setImmediate: timers of browsers wait for at least 4 ms when they are nested, messages do not. */
const waiting: (() => void)[] = [];
let channel: MessageChannel | undefined;

/** Resolves after the events that are due now. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === 'function') {
      setImmediate(resolve);
      return;
    }
    if (!channel) {
      channel = new MessageChannel();
      channel.port1.onmessage = () => waiting.shift()?.();
    }
    waiting.push(resolve);
    channel.port2.postMessage(null);
  });
}
