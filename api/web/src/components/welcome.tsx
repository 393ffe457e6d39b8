import { type Draft, EMPTY_DRAFT } from '../draft.ts'
import { modelName } from '../status.ts'
import { kindWords } from '../words.ts'

interface WelcomeProps {
  isSandbox: boolean
  onExample: (draft: Draft) => void
}

const STEPS = [
  ['Looks around', 'It reads the files that matter, where your project has been set up for it.'],
  ['Writes', 'You watch the answer grow, and can stop it at any time.'],
  ['Suggests', 'Three to five features, each with its reasons and what to consider when building it.'],
] as const

const EXAMPLES: readonly Draft[] = [
  {
    ...EMPTY_DRAFT,
    pageOrComponent: 'Checkout page',
    featureType: 'ui-improvement',
    priorityLevel: 'high',
    additionalContext: 'Many people leave at the payment step, most of them on phones.',
  },
  {
    ...EMPTY_DRAFT,
    pageOrComponent: 'Search results',
    featureType: 'optimization',
    additionalContext: 'It feels slow with more than a few hundred results.',
  },
  {
    ...EMPTY_DRAFT,
    pageOrComponent: 'Notification settings',
    featureType: 'new-capability',
    priorityLevel: 'low',
    additionalContext: 'People turn everything off because they cannot choose what matters to them.',
  },
]

export const Welcome = ({ isSandbox, onExample }: WelcomeProps) => (
  <section aria-labelledby="welcome" className="rounded-lg border border-line px-5 py-6 sm:px-7">
    {/* What this is */}
    <h2 id="welcome" className="text-lg font-semibold">
      What could be better?
    </h2>
    <p className="mt-1 max-w-prose text-quiet">
      Name a page or component of your product, and{' '}
      {isSandbox ? 'the sandbox, standing in for Claude,' : modelName(isSandbox)} suggests what to build next.
    </p>

    {/* Something to start from */}
    <h3 className="mt-5 text-sm font-semibold">Try one of these</h3>
    <ul className="mt-2 grid gap-2 sm:grid-cols-3 sm:gap-4">
      {EXAMPLES.map((example) => (
        <li key={example.pageOrComponent}>
          <button
            type="button"
            className="h-full w-full rounded-md border border-line bg-surface px-3 py-2 text-left hover:border-accent hover:bg-accent-soft"
            onClick={() => onExample(example)}
          >
            <span className="block font-medium">{example.pageOrComponent}</span>
            <span className="block text-sm text-quiet">{kindWords({ ...example, customModel: null })}</span>
          </button>
        </li>
      ))}
    </ul>

    {/* What happens */}
    <ol className="mt-6 grid gap-4 sm:grid-cols-3">
      {STEPS.map(([title, text], index) => (
        <li key={title} className="border-t-2 border-accent pt-2">
          <p className="font-medium">
            <span className="text-accent tabular-nums">{index + 1}. </span>
            {title}
          </p>
          <p className="mt-0.5 text-sm text-quiet">{text}</p>
        </li>
      ))}
    </ol>
  </section>
)
