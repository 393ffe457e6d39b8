import type { ReactNode } from 'react'
import { cn } from '../cn.ts'
import { lengthOf } from '../words.ts'
import { Conditional } from './conditional.tsx'

/** Has the attributes that connect a control with its label, its hint and its error. */
interface ControlAttributes {
  id: string
  name: string
  'aria-invalid': boolean
  'aria-describedby': string | undefined
}

interface FieldProps {
  /** The field's name on the wire. */
  name: string
  /** The name of the form, since two forms may have fields with the same name. */
  form: string
  label: string
  isOptional?: boolean
  hint?: string | undefined
  error?: string | undefined
  counter?: { text: string; greatest: number }
  className?: string
  children: (control: ControlAttributes) => ReactNode
}

export const Field = ({ name, form, label, isOptional = false, hint, error, counter, className, children }: FieldProps) => {
  const _id = `${form}-${name}`
  const _length = counter ? lengthOf(counter.text) : 0
  const _isTooLong = counter !== undefined && _length > counter.greatest
  const _described = [error && `${_id}-error`, hint && `${_id}-hint`].filter(Boolean).join(' ')

  return (
    <div className={cn('grid content-start gap-1', className)}>
      {/* Label and counter */}
      <div className="flex items-baseline justify-between gap-3">
        <label htmlFor={_id} className="font-medium">
          {label}
          <Conditional when={isOptional}>
            <span className="font-normal text-quiet"> (optional)</span>
          </Conditional>
        </label>
        <Conditional when={counter}>
          {({ greatest }) => (
            <span className={cn('text-xs tabular-nums', _isTooLong ? 'font-semibold text-alarm' : 'text-quiet')}>
              {_length.toLocaleString('en')} / {greatest.toLocaleString('en')}
              <span className="sr-only"> characters</span>
            </span>
          )}
        </Conditional>
      </div>

      {children({
        id: _id,
        name,
        'aria-invalid': error !== undefined,
        'aria-describedby': _described === '' ? undefined : _described,
      })}

      {/* What is wrong, and what may help */}
      <Conditional when={error}>
        {(words) => (
          <p id={`${_id}-error`} className="text-sm text-alarm">
            {words}
          </p>
        )}
      </Conditional>
      <Conditional when={hint}>
        {(words) => (
          <p id={`${_id}-hint`} className="text-sm text-quiet">
            {words}
          </p>
        )}
      </Conditional>
    </div>
  )
}
