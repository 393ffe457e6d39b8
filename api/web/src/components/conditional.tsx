import type { ReactNode } from 'react'

interface ConditionalProps {
  isShown: boolean
  children: ReactNode
}

export const Conditional = ({ isShown, children }: ConditionalProps) => (isShown ? children : null)
