// A worker of a pair: opens its side of a transport, and proves and runs it as the main thread says.
import { parentPort, workerData } from 'node:worker_threads';
import { type ByteRingData, openReceiver as openByteReceiver, openSender as openByteSender } from './byte-ring.js';
import type { Answer, Phase, Program, WorkerTask } from './control.js';
import { type MessagesData, receivingProgram, sendingProgram } from './messages.js';
import * as polled from './polled.js';
import * as ptnet from './ptnet.js';
import * as slotRing from './slot-ring.js';

async function openProgram(task: WorkerTask): Promise<Program> {
  const sends = task.side === 'sender';
  switch (task.transport) {
    case 'messages': {
      const messages = task as WorkerTask<MessagesData>;
      return sends ? sendingProgram(messages) : receivingProgram(messages);
    }
    case 'slot ring': {
      const ring = task as WorkerTask<slotRing.SlotRingData>;
      return sends
        ? polled.sendingProgram(slotRing.openSender(ring), task)
        : polled.receivingProgram(slotRing.openReceiver(ring), task);
    }
    case 'byte ring': {
      const ring = task as WorkerTask<ByteRingData>;
      return sends
        ? polled.sendingProgram(await openByteSender(ring), task)
        : polled.receivingProgram(await openByteReceiver(ring), task);
    }
    case 'ptnet': {
      const port = task as WorkerTask<ptnet.PtnetData>;
      return sends
        ? polled.sendingProgram(await ptnet.openSender(port), task)
        : polled.receivingProgram(await ptnet.openReceiver(port), task);
    }
    default:
      throw new Error(`there is no transport '${task.transport}'`);
  }
}

const task = workerData as WorkerTask;
const main = parentPort;
if (!main) throw new Error('this is a worker');
const tell = (answer: Answer): void => main.postMessage(answer);

const program = await openProgram(task);
main.on('message', (phase: Phase) => {
  const act = async (): Promise<void> => {
    if (phase !== 'close') {
      tell({ report: await (phase === 'prove' ? program.prove() : program.run()) });
      return;
    }
    await program.close();
    main.close();
  };
  act().catch((error) => tell({ error: String((error as Error).stack ?? error) }));
});
tell({ ready: true });
