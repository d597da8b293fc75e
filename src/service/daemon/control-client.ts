/** The daemon's control calls and its events, from another process. */
import type { InterfaceChange } from '../../pathmanager/index.ts';
import { callControl, openEvents } from '../control-client.ts';
import type { ControlLineStream } from '../control-line-stream.ts';
import {
  DAEMON_FACE,
  type DaemonControlApi,
  type DaemonReport,
  type InterfaceSetting,
  type StreamEvent,
} from './control-api.ts';

export class DaemonControlClient implements DaemonControlApi {
  /** @throws WeftError `NOT_RUNNING` and others that say what to do */
  async status(): Promise<DaemonReport> {
    return (await callControl(DAEMON_FACE, DAEMON_FACE.calls.status)) as DaemonReport;
  }

  async setInterface(setting: InterfaceSetting): Promise<InterfaceChange> {
    const question = { ...DAEMON_FACE.calls.setInterface, argument: setting };
    return (await callControl(DAEMON_FACE, question)) as InterfaceChange;
  }

  /** @param kinds none: all. What was lost on the way is always told. */
  events(kinds: readonly StreamEvent['kind'][] = []): Promise<ControlLineStream> {
    return openEvents(DAEMON_FACE, kinds);
  }
}
