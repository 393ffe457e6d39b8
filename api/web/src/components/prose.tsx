interface ProseProps {
  text: string
}

/** Matches `code` in backticks, the Markdown that suggestions contain most. */
const CODE = /`([^`\n]+)`/u

export const Prose = ({ text }: ProseProps) =>
  // Every second piece was between backticks.
  text.split(CODE).map((piece, index) =>
    index % 2 === 0 ? (
      piece
    ) : (
      // oxlint-disable-next-line react/no-array-index-key -- the pieces of one text have no other name
      <code key={index} className="rounded bg-sunken px-1 font-mono text-[0.875em]">
        {piece}
      </code>
    ),
  )
