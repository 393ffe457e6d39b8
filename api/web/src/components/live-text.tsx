import { useLayoutEffect, useRef, useState } from 'react'
import { Conditional } from './conditional.tsx'
import { Cursor } from './cursor.tsx'

interface LiveTextProps {
  text: string
  isWriting: boolean
}

/** A scroll position this near to the end, in CSS pixels, counts as the end. */
const END_TOLERANCE = 24

export const LiveText = ({ text, isWriting }: LiveTextProps) => {
  const [isFollowing, setIsFollowing] = useState(true)
  const pane = useRef<HTMLDivElement>(null)

  useLayoutEffect(() => {
    if (isFollowing && pane.current !== null) {
      pane.current.scrollTop = pane.current.scrollHeight
    }
    // oxlint-disable-next-line react/exhaustive-deps, react/exhaustive-effect-dependencies -- more text moves the end
  }, [text, isFollowing])

  const handleScroll = () => {
    if (pane.current !== null) {
      const { scrollHeight, scrollTop, clientHeight } = pane.current
      setIsFollowing(scrollHeight - scrollTop - clientHeight < END_TOLERANCE)
    }
  }

  return (
    <div className="relative">
      {/* The text, as it grows */}
      <div
        ref={pane}
        role="region"
        aria-label="The answer as it is written"
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- it scrolls, so the keyboard must reach it
        tabIndex={0}
        className="max-h-80 min-h-28 overflow-y-auto overscroll-contain rounded-md border border-line bg-sunken px-3.5 py-3 text-sm whitespace-pre-wrap wrap-anywhere"
        onScroll={handleScroll}
      >
        {text}
        <Conditional when={isWriting}>
          <Cursor />
        </Conditional>
      </div>

      {/* Back to the end */}
      <Conditional when={isWriting && !isFollowing}>
        <button
          type="button"
          className="absolute right-3 bottom-3 rounded-full border border-edge bg-surface px-3 py-1 text-sm shadow-sm hover:bg-sunken"
          onClick={() => setIsFollowing(true)}
        >
          Follow the text
        </button>
      </Conditional>
    </div>
  )
}
