import { Button } from './button.tsx'
import { Conditional } from './conditional.tsx'

interface PageHeaderProps {
  isSandbox: boolean
  /** The name of the caller's own agent, where it is in use. */
  agent: string | null
  /** A message that is shown for a moment after something was saved. */
  notice: string | null
  onOpenAgent: () => void
}

export const PageHeader = ({ isSandbox, agent, notice, onOpenAgent }: PageHeaderProps) => (
  <header className="border-b border-line bg-surface print:hidden">
    <div className="mx-auto flex max-w-6xl flex-wrap items-center gap-x-2 gap-y-1 px-4 py-2 sm:px-6">
      {/* Name */}
      <h1 className="flex items-center gap-2 text-base font-semibold">
        <svg aria-hidden="true" viewBox="0 0 32 32" className="size-6">
          <rect width="32" height="32" rx="8" className="fill-accent" />
          <path d="M9 10h14M9 16h9M9 22h5" className="stroke-on-accent" strokeWidth="3" strokeLinecap="round" />
          <circle cx="21.5" cy="21.5" r="3" className="fill-on-accent" />
        </svg>
        Feature planner
      </h1>

      {/* Who answers */}
      <Conditional when={isSandbox}>
        <span
          title="Answers come from a local stand-in, not from Claude"
          className="rounded-full bg-warning-soft px-2.5 py-0.5 text-xs font-medium text-warning"
        >
          Sandbox
        </span>
      </Conditional>
      <p role="status" className={notice === null ? 'sr-only' : 'text-sm text-quiet'}>
        {notice}
      </p>
      <Button kind="quiet" className="-mr-3 ml-auto min-w-0" onClick={onOpenAgent}>
        <span className="max-w-64 truncate">
          Your agent
          <Conditional when={agent}>
            {(name) => (
              <>
                : <span className="font-semibold">{name}</span>
              </>
            )}
          </Conditional>
        </span>
      </Button>
    </div>
  </header>
)
