/** Shows where the model writes. */
export const Cursor = () => (
  <span
    aria-hidden="true"
    data-testid="cursor"
    className="ml-px inline-block h-[1.1em] w-[0.5em] animate-blink translate-y-[0.2em] bg-accent forced-colors:bg-[Highlight]"
  />
)
