import { useState } from 'react'
import { Conditional } from './conditional.tsx'
import { LiveText } from './live-text.tsx'

interface WrittenTextProps {
  text: string
  isWriting: boolean
  /** The number of the attempt: with another attempt the text is scrolled to its end again. */
  attempt: number | null
}

/** Shows the text as the model wrote it, after a click. */
export const WrittenText = ({ text, isWriting, attempt }: WrittenTextProps) => {
  const [isOpen, setIsOpen] = useState(false)

  return (
    <Conditional when={text !== ''}>
      <details className="text-sm print:hidden" onToggle={({ currentTarget }) => setIsOpen(currentTarget.open)}>
        <summary className="w-fit rounded text-quiet hover:text-ink">The text as it was written</summary>
        <Conditional when={isOpen}>
          <div className="mt-2">
            <LiveText key={attempt} text={text} isWriting={isWriting} />
          </div>
        </Conditional>
      </details>
    </Conditional>
  )
}
