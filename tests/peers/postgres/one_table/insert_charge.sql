INSERT INTO credits (trans_no, user_uuid, trans_type, credits, order_no, expired_at)
VALUES ($1, $2, 'anime_generation', -$3::bigint, $4, $5)
