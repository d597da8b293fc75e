/**
 * Findings of "why" as a list: verdict, sentence, evidence, advice. The same for the host and for one connection.
 */
import type { Finding, WhyReport } from '../../../service/observe/api.ts';
import { h, KeyedList, setText } from '../dom.ts';
import { adviceParts } from './advice.ts';
import { Badge, CommandLine, Facts } from './parts.ts';

const VERDICT_WORDS: Readonly<Record<Finding['verdict'], string>> = {
  fail: 'Problem',
  warn: 'Look',
  unknown: 'Not known',
  ok: 'Fine',
};

class FindingView {
  readonly element = h('li', { class: 'finding' });
  readonly #badge = new Badge();
  readonly #text = h('p', { class: 'finding-text' });
  readonly #evidence = new Facts();
  readonly #advice = h('ul', { class: 'advice', 'aria-label': 'What helps' });
  readonly #adviceList: KeyedList<string, HTMLLIElement>;

  constructor() {
    this.element.append(
      h('div', { class: 'finding-head' }, this.#badge.element, this.#text),
      this.#evidence.element,
      this.#advice,
    );
    this.#adviceList = new KeyedList(this.#advice, {
      key: (advice) => advice,
      create: createAdvice,
      // One advice never changes: another text is another one.
      update: () => undefined,
    });
  }

  show({ verdict, text, evidence, advice }: Finding): void {
    this.#badge.show(VERDICT_WORDS[verdict], verdict);
    setText(this.#text, text);
    this.#evidence.show(evidence.map(({ name, value }) => [name, value] as const));
    this.#advice.hidden = advice.length === 0;
    this.#adviceList.show(advice);
  }
}

function createAdvice(advice: string): HTMLLIElement {
  const { lead, command } = adviceParts(advice);
  const line = new CommandLine();
  line.show(command);
  return h('li', {}, lead !== undefined && h('span', {}, lead, ' '), command !== undefined && line.element);
}

/** Findings that ask for something in a list of their own, and those that are fine folded away below. */
export class FindingsView {
  readonly element = h('div', { class: 'findings' });
  readonly #troubles = h('ul', { class: 'finding-list' });
  readonly #fine = h('ul', { class: 'finding-list' });
  readonly #fold: HTMLDetailsElement;
  readonly #foldTitle = h('summary');
  readonly #lists: readonly KeyedList<KeyedFinding, HTMLLIElement>[];
  readonly #views = new WeakMap<Element, FindingView>();

  constructor() {
    this.#fold = h('details', { class: 'fold' }, this.#foldTitle, this.#fine);
    this.element.append(this.#troubles, this.#fold);
    this.#lists = [this.#troubles, this.#fine].map(
      (parent) =>
        new KeyedList<KeyedFinding, HTMLLIElement>(parent, {
          key: ({ key }) => key,
          create: () => {
            const view = new FindingView();
            this.#views.set(view.element, view);
            return view.element;
          },
          update: (element, { finding }) => this.#views.get(element)!.show(finding),
        }),
    );
  }

  show({ findings }: WhyReport): void {
    const keyed = withKeys(findings);
    const fine = keyed.filter(({ finding }) => finding.verdict === 'ok');
    const troubles = keyed.filter(({ finding }) => finding.verdict !== 'ok');
    this.#lists[0]!.show(troubles);
    this.#lists[1]!.show(fine);
    this.#troubles.hidden = troubles.length === 0;
    this.#fold.hidden = fine.length === 0;
    setText(this.#foldTitle, fine.length === 1 ? '1 thing is fine' : `${fine.length} things are fine`);
  }
}

interface KeyedFinding {
  readonly key: string;
  readonly finding: Finding;
}

/** Several findings of one kind are told apart by their order: their texts change with the numbers in them. */
function withKeys(findings: readonly Finding[]): KeyedFinding[] {
  const counts = new Map<string, number>();
  return findings.map((finding) => {
    const nth = (counts.get(finding.id) ?? 0) + 1;
    counts.set(finding.id, nth);
    return { key: `${finding.id} ${nth}`, finding };
  });
}
