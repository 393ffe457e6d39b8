import type { ToolUse } from '../transcript.ts'
import { countWords, toolWords } from '../words.ts'
import { Conditional } from './conditional.tsx'

interface ToolLinesProps {
  tools: readonly ToolUse[]
}

const MOST_SHOWN = 4

export const ToolLines = ({ tools }: ToolLinesProps) => {
  const _earlier = Math.max(0, tools.length - MOST_SHOWN)

  return (
    <Conditional isShown={tools.length > 0}>
      <ul aria-label="What the agent looks at" className="grid gap-0.5 text-sm text-quiet">
        <Conditional isShown={_earlier > 0}>
          <li>{countWords(_earlier, 'earlier look', 'earlier looks')} at the project</li>
        </Conditional>
        {tools.slice(_earlier).map((tool, index) => (
          // oxlint-disable-next-line react/no-array-index-key -- the list only grows: a place is what it is known by
          <ToolLine key={_earlier + index} tool={tool} />
        ))}
      </ul>
    </Conditional>
  )
}

interface ToolLineProps {
  tool: ToolUse
}

const ToolLine = ({ tool }: ToolLineProps) => {
  const { verb, object } = toolWords(tool)

  return (
    <li className="animate-appear wrap-anywhere">
      {verb} <code className="font-mono text-[0.9em] text-ink">{object}</code>
    </li>
  )
}
