/** What `kind` of a line of `GET /v1/events` of `weft up` may be: those of events, and of the stream itself. */
import { OBSERVED_EVENT_KINDS } from './model.ts';

export const EVENT_LINE_KINDS: readonly string[] = ['listening', ...OBSERVED_EVENT_KINDS, 'lost'];
