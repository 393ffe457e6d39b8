import type { ReactNode } from 'react'

interface ConditionalProps<Value> {
  /** The children are shown unless this is null, undefined or false. */
  when: Value
  /** A function gets the value, typed without null, undefined and false. */
  children: ReactNode | ((value: Exclude<Value, null | undefined | false>) => ReactNode)
}

export const Conditional = <Value,>({ when, children }: ConditionalProps<Value>) => {
  if (when === null || when === undefined || when === false) {
    return null
  }
  return typeof children === 'function' ? children(when as Exclude<Value, null | undefined | false>) : children
}
