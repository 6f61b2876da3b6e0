// A charge, as `docs/data-model.md` has it: one strong read of the wallet, then one
// transaction of the charge and the next wallet, each under its condition.
import { DynamoDBClient, GetItemCommand, TransactWriteItemsCommand } from "@aws-sdk/client-dynamodb";
import { v4, v7 } from "uuid";

const TableName = process.env.SCRIP_TABLE;

// As the ledger has them: one try, a second to connect and three for an answer.
const client = new DynamoDBClient({
  maxAttempts: 1,
  requestHandler: { connectionTimeout: 1_000, requestTimeout: 3_000 },
});

const text = (S) => ({ S });
const number = (value) => ({ N: String(value) });

class Refusal extends Error {
  constructor(name, message) {
    super(message);
    this.name = name;
  }
}

// What the packs give for a number of credits, and what remains in them.
function allocate(packs, credits, now) {
  let missing = credits;
  const taken = [];
  const left = [];
  for (const { M: pack } of packs) {
    const usable = pack.e === undefined || Number(pack.e.N) > now;
    const take = usable ? Math.min(missing, Number(pack.n.N)) : 0;
    missing -= take;
    if (take > 0) taken.push({ M: { ...pack, n: number(take) } });
    if (take < Number(pack.n.N)) left.push({ M: { ...pack, n: number(Number(pack.n.N) - take) } });
  }
  if (missing > 0) throw new Refusal("InsufficientCredits", "The balance is less than was asked for.");
  return { taken, left };
}

function balanceOf(packs, now) {
  const usable = packs.filter(({ M: pack }) => pack.e === undefined || Number(pack.e.N) > now);
  return usable.reduce((sum, { M: pack }) => sum + Number(pack.n.N), 0);
}

function totalsWith(totals, type, credits) {
  const before = totals[type]?.M ?? { c: number(0), n: number(0) };
  const after = { ...before, c: number(Number(before.c.N) + credits), n: number(Number(before.n.N) + 1) };
  return { ...totals, [type]: { M: after } };
}

export async function charge(request) {
  const { user_uuid, trans_type, credits, generation_uuid } = request;
  const walletKey = { user_uuid: text(user_uuid), sk: text("wallet") };
  const read = await client.send(
    new GetItemCommand({ TableName, Key: walletKey, ConsistentRead: true, ReturnConsumedCapacity: "INDEXES" }),
  );
  const wallet = read.Item;
  if (wallet === undefined) throw new Refusal("InsufficientCredits", "There is no wallet.");

  const now = Math.max(Date.now(), Number(wallet.version.N) + 1);
  const trans_no = v7({ msecs: now });
  const { taken, left } = allocate(wallet.packs.L, credits, now);
  const record = {
    user_uuid: text(user_uuid),
    sk: text(`charge#${generation_uuid}#`),
    trans_no: text(trans_no),
    trans_type: text(trans_type),
    credits: number(-credits),
    generation_uuid: text(generation_uuid),
    user_trans: text(`${user_uuid}#${trans_no}`),
    allocations: { L: taken },
    is_voided: { BOOL: false },
  };
  await client.send(
    new TransactWriteItemsCommand({
      ClientRequestToken: v4(),
      ReturnConsumedCapacity: "INDEXES",
      TransactItems: [
        {
          Put: {
            TableName,
            Item: record,
            ConditionExpression: "attribute_not_exists(sk)",
            ReturnValuesOnConditionCheckFailure: "ALL_OLD",
          },
        },
        {
          Update: {
            TableName,
            Key: walletKey,
            ConditionExpression: "version = :from",
            UpdateExpression: "SET packs = :packs, totals = :totals, version = :version",
            ExpressionAttributeValues: {
              ":from": wallet.version,
              ":packs": { L: left },
              ":totals": { M: totalsWith(wallet.totals.M, trans_type, credits) },
              ":version": number(now),
            },
            ReturnValuesOnConditionCheckFailure: "ALL_OLD",
          },
        },
      ],
    }),
  );
  console.log(JSON.stringify({ level: "INFO", function: "decrease", user_uuid, generation_uuid, code: "ok" }));
  return {
    trans_no,
    user_uuid,
    generation_uuid,
    trans_type,
    credits: -credits,
    allocations: taken.map(({ M: pack }) => ({
      pack: pack.i.S,
      order_no: pack.o?.S,
      credits: Number(pack.n.N),
      expired_at: pack.e && new Date(Number(pack.e.N)).toISOString(),
    })),
    created_at: new Date(now).toISOString(),
    balance: balanceOf(left, now),
    replayed: false,
  };
}
