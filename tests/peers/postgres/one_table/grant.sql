INSERT INTO credits (trans_no, user_uuid, trans_type, credits, order_no, expired_at)
VALUES (gen_random_uuid()::text, $1, 'order_pay', $2, gen_random_uuid()::text, $3::text::timestamptz)
