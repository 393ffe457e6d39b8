import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { ApiError } from './client/api-error.ts'
import { resume } from './address.ts'
import { App } from './app.tsx'
import { leftOff } from './sign-in.ts'
import './styles.css'

const QUERY_RETRIES = 2

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // Browsers often report wrongly that they are offline, so requests are tried in any case.
      networkMode: 'always',
      refetchOnWindowFocus: false,
      // A token may expire a moment before it is replaced.
      retry: (failures, error) => failures < QUERY_RETRIES && !(error instanceof ApiError && error.status !== 401),
    },
    mutations: { networkMode: 'always' },
  },
})

// A person who has signed in on another page sees again what was on the screen.
resume(leftOff())

const root = document.getElementById('root')
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <App />
      </QueryClientProvider>
    </StrictMode>,
  )
}
