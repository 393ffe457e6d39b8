import type { ComponentProps } from 'react'
import { cn } from '../cn.ts'

type ButtonKind = 'primary' | 'plain' | 'quiet' | 'danger'

interface ButtonProps extends ComponentProps<'button'> {
  kind?: ButtonKind
}

const KINDS = {
  primary: 'border-accent bg-accent text-on-accent hover:border-accent-strong hover:bg-accent-strong',
  plain: 'border-edge bg-surface text-ink hover:bg-sunken',
  danger: 'border-alarm bg-surface text-alarm hover:bg-alarm-soft',
  quiet: 'border-transparent text-accent hover:bg-accent-soft forced-colors:border-0 forced-colors:underline',
}

/** Returns the classes of a button, also for links that look like buttons. */
export const buttonClass = (kind: ButtonKind, className?: string): string =>
  cn(
    'inline-flex min-h-9 items-center justify-center gap-1.5 rounded-md border px-3 py-1 font-medium transition-colors',
    'disabled:border-line disabled:bg-sunken disabled:text-quiet',
    KINDS[kind],
    className,
  )

export const Button = ({ kind = 'plain', className, ...rest }: ButtonProps) => (
  <button type="button" className={buttonClass(kind, className)} {...rest} />
)
