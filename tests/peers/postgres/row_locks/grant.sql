WITH wallet AS (INSERT INTO wallets (user_uuid) VALUES ($1) ON CONFLICT DO NOTHING)
INSERT INTO packs (user_uuid, credits, remaining, expired_at) VALUES ($1, $2, $2, $3::text::timestamptz)
