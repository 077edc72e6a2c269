// A bulk operation through Shopify's own client, as the published API has it:
// start, poll, download, check that all has come.
import { setTimeout as wait } from 'node:timers/promises'
import '@shopify/shopify-api/adapters/node'
import { setAbstractFetchFunc } from '@shopify/shopify-api/runtime'
import { LogSeverity, Session, shopifyApi } from '@shopify/shopify-api'
import { adapter, must, tell, told } from './client.mjs'

tell('listening')
const { simulator, shop, clientID, secret, token } = await told()
setAbstractFetchFunc(adapter(simulator))
const shopify = shopifyApi({
  apiKey: clientID,
  apiSecretKey: secret,
  scopes: ['read_products'],
  hostName: 'app.example',
  apiVersion: '2026-10',
  isEmbeddedApp: false,
  logger: { level: LogSeverity.Error },
})
const client = new shopify.clients.Graphql({
  session: new Session({ id: `offline_${shop}`, shop, state: '', isOnline: false, accessToken: token }),
})

async function start(query) {
  const { data } = await client.request(
    `mutation Start($query: String!) {
      bulkOperationRunQuery(query: $query) { bulkOperation { id status objectCount url } userErrors { field message code } }
    }`,
    { variables: { query } },
  )
  return data.bulkOperationRunQuery
}

const refused = await start('{ products { nodes { id } } }')
tell('refused', { started: refused.bulkOperation !== null, code: refused.userErrors[0]?.code, field: refused.userErrors[0]?.field })

const { bulkOperation: started, userErrors } = await start(
  '{ products { edges { node { id title variants { edges { node { id sku price } } } } } } }',
)
must(userErrors.length === 0, JSON.stringify(userErrors))
tell('started', { status: started.status, objectCount: started.objectCount, url: started.url })
let operation = started
for (let tries = 0; !['COMPLETED', 'FAILED', 'CANCELED', 'EXPIRED'].includes(operation.status); tries++) {
  must(tries < 300, `the operation is still ${operation.status}`)
  await wait(50)
  const { data } = await client.request(
    `query Poll($id: ID!) {
      bulkOperation(id: $id) { id status errorCode objectCount rootObjectCount fileSize url partialDataUrl }
    }`,
    { variables: { id: started.id } },
  )
  operation = data.bulkOperation
}
must(operation.status === 'COMPLETED', JSON.stringify(operation))

const file = await fetch(new URL(operation.url, simulator))
must(file.ok, `the file answers ${file.status}`)
const text = await file.text()
const products = new Set()
const parents = []
for (const line of text.trimEnd().split('\n').map((each) => JSON.parse(each))) {
  if (line.__parentId === undefined) products.add(line.id)
  else parents.push(line.__parentId)
}
tell('done', {
  products: products.size,
  variants: parents.length,
  orphans: parents.filter((id) => !products.has(id)).length,
  escaped: text.includes('gid:\\/\\/shopify\\/Product\\/') && !text.includes('gid://'),
  size: Buffer.byteLength(text),
  objectCount: operation.objectCount,
  rootObjectCount: operation.rootObjectCount,
  fileSize: operation.fileSize,
  partial: operation.partialDataUrl,
})
process.exit(0)
