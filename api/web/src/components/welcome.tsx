interface WelcomeProps {
  isSandbox: boolean
}

const STEPS = [
  ['Looks around', 'It reads the parts of your project that matter, if it has been given one.'],
  ['Writes', 'You watch the answer grow, and can stop it at any time.'],
  ['Suggests', 'Three to five features, each with its reasons and what to consider when building it.'],
] as const

export const Welcome = ({ isSandbox }: WelcomeProps) => (
  <section aria-labelledby="welcome" className="rounded-lg border border-dashed border-edge px-5 py-6 sm:px-7">
    {/* What this is */}
    <h2 id="welcome" className="text-lg font-semibold">
      What could be better?
    </h2>
    <p className="mt-1 max-w-prose text-quiet">
      Name a page or component of your product, and {isSandbox ? 'the sandbox, standing in for Claude,' : 'Claude'}{' '}
      suggests what to build next.
    </p>

    {/* What happens */}
    <ol className="mt-5 grid gap-4 sm:grid-cols-3">
      {STEPS.map(([title, text], index) => (
        <li key={title} className="border-t-2 border-accent pt-2">
          <p className="font-medium">
            <span className="mr-1.5 text-accent tabular-nums">{index + 1}</span>
            {title}
          </p>
          <p className="mt-0.5 text-sm text-quiet">{text}</p>
        </li>
      ))}
    </ol>
  </section>
)
