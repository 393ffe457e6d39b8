import { useState } from 'react'
import { notifyState, turnOff, turnOn } from '../notify.ts'
import { Button } from './button.tsx'
import { Conditional } from './conditional.tsx'

export const NotifyButton = () => {
  const [state, setState] = useState(notifyState)

  const handleClick = async () => setState(state === 'on' ? turnOff() : await turnOn())

  return (
    <Conditional when={state !== 'blocked'}>
      <Button kind="quiet" className="-my-2 -ml-3 w-fit text-sm print:hidden" onClick={() => void handleClick()}>
        {state === 'on' ? 'You will be notified when it is done · turn off' : 'Notify me when it is done'}
      </Button>
    </Conditional>
  )
}
